#include "coordinator/wire/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509err.h>
#include <sys/stat.h>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/verify_mode.hpp>

namespace railwright::coordinator::wire {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

namespace {

Result<TlsContext> fresh(ssl::context::method method) {
  auto context = std::make_shared<ssl::context>(method);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  // Of ten thousand connections nearly all are silent: their buffers are given back.
  SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  return context;
}

Result<void> show(ssl::context& context, const std::string& certificate, const std::string& key) {
  error_code error;
  context.use_certificate_chain_file(certificate, error);
  if (error) return failure({certificate}, "is no certificate: " + error.message(), "write PEM");
  struct stat about {};
  if (stat(key.c_str(), &about) == 0 && (about.st_mode & 0077) != 0)
    return failure({key}, "can be read or written by others", "chmod 600 it");
  context.use_private_key_file(key, ssl::context::pem, error);
  if (!error) return {};
  if (ERR_GET_REASON(static_cast<unsigned long>(error.value())) == X509_R_KEY_VALUES_MISMATCH)
    return failure({key}, "is not the key of " + certificate, "give the one it was made with");
  return failure({key}, "is no private key: " + error.message(), "write PEM");
}

Result<void> believe(ssl::context& context, const std::string& ca) {
  error_code error;
  context.load_verify_file(ca, error);
  if (error) return failure({ca}, "holds no certificate: " + error.message(), "write PEM");
  return {};
}

}  // namespace

Result<TlsContext> server_tls(const ServerTls& settings) {
  auto context = fresh(ssl::context::tls_server);
  if (auto shown = show(**context, settings.certificate, settings.key); !shown)
    return tl::unexpected(shown.error());
  if (settings.client_ca.empty()) return context;
  if (auto believed = believe(**context, settings.client_ca); !believed)
    return tl::unexpected(believed.error());
  (*context)->set_verify_mode(ssl::verify_peer);
  const char id[] = "railwright";  // OpenSSL resumes no session of verified clients without one
  SSL_CTX_set_session_id_context((*context)->native_handle(),
                                 reinterpret_cast<const unsigned char*>(id), sizeof id);
  return context;
}

Result<TlsContext> client_tls(const ClientTls& settings) {
  auto context = fresh(ssl::context::tls_client);
  if (auto believed = believe(**context, settings.ca); !believed)
    return tl::unexpected(believed.error());
  (*context)->set_verify_mode(ssl::verify_peer);
  if (settings.pinned)
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param((*context)->native_handle()),
                                X509_V_FLAG_PARTIAL_CHAIN);
  if (settings.certificate.empty()) return context;
  if (auto shown = show(**context, settings.certificate, settings.key); !shown)
    return tl::unexpected(shown.error());
  return context;
}

}  // namespace railwright::coordinator::wire
