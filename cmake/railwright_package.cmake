# What is installed beside the programs, and the Debian package: `cpack -G DEB` in the build folder.
set(reference ${PROJECT_BINARY_DIR}/reference)
foreach(made IN ITEMS "railwright.1:man" "railwright.bash:completion bash" "_railwright:completion zsh")
  string(REGEX REPLACE ":.*" "" file ${made})
  string(REGEX REPLACE ".*:" "" words ${made})
  separate_arguments(words)
  add_custom_command(OUTPUT ${reference}/${file}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${reference}
    COMMAND railwright ${words} > ${reference}/${file}
    DEPENDS railwright VERBATIM)
  list(APPEND references ${reference}/${file})
endforeach()
add_custom_target(railwright_reference ALL DEPENDS ${references})

install(FILES ${reference}/railwright.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${reference}/railwright.bash RENAME railwright
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${reference}/_railwright DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES deploy/systemd/railwright-coordinator.service DESTINATION lib/systemd/system)
install(FILES deploy/slurm/railwright.sbatch deploy/kubernetes/mpijob.yaml
              deploy/prometheus/prometheus.yml deploy/prometheus/rules.yml
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME railwright)
set(CPACK_PACKAGE_CONTACT "The Railwright developers <railwright@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "openmpi-bin, util-linux")
include(CPack)
