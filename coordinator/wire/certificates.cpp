#include "coordinator/wire/certificates.hpp"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <memory>

#include "coordinator/service/files.hpp"

namespace railwright::coordinator::wire {

namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using Memory = std::unique_ptr<BIO, Deleter<BIO_free>>;

struct Issued {
  Key key;
  Certificate certificate;
};

struct Wish {
  std::string name;
  std::vector<std::pair<int, std::string>> extensions;  // NID and OpenSSL's words for its value
};

std::string alternative_names(const std::vector<std::string>& hosts) {
  std::string list;
  for (const std::string& host : hosts) {
    in6_addr scratch{};
    const bool address = inet_pton(AF_INET, host.c_str(), &scratch) == 1 ||
                         inet_pton(AF_INET6, host.c_str(), &scratch) == 1;
    list += (list.empty() ? "" : ",") + std::string(address ? "IP:" : "DNS:") + host;
  }
  return list;
}

bool set_serial(X509* certificate) {
  unsigned char bytes[8];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  std::uint64_t serial = 1;
  for (const unsigned char byte : bytes) serial = (serial << 8 | byte) & INT64_MAX;
  return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial) == 1;
}

bool extend(X509* certificate, X509* issuer, const Wish& wish) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const auto& [id, value] : wish.extensions) {
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
    if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) return false;
  }
  return true;
}

// Signed by `authority`, or by itself without one.
std::optional<Issued> issue(const Wish& wish, Validity validity, const Issued* authority) {
  Issued issued{Key(EVP_EC_gen("P-256")), Certificate(X509_new())};
  if (!issued.key || !issued.certificate) return std::nullopt;
  X509* certificate = issued.certificate.get();
  X509* issuer = authority != nullptr ? authority->certificate.get() : certificate;
  X509_NAME* name = X509_get_subject_name(certificate);
  const auto* text = reinterpret_cast<const unsigned char*>(wish.name.c_str());
  const bool made =
      X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
      X509_gmtime_adj(X509_getm_notBefore(certificate), validity.from.count()) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(certificate), validity.until.count()) != nullptr &&
      X509_set_pubkey(certificate, issued.key.get()) == 1 &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0) == 1 &&
      X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
      extend(certificate, issuer, wish) &&
      X509_sign(certificate, authority != nullptr ? authority->key.get() : issued.key.get(),
                EVP_sha256()) > 0;
  if (!made) return std::nullopt;
  return issued;
}

template <class Write>
std::string pem_of(Write&& write) {
  const Memory memory(BIO_new(BIO_s_mem()));
  char* text = nullptr;
  if (!memory || write(memory.get()) != 1) return {};
  const long size = BIO_get_mem_data(memory.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

Result<void> save(const std::string& path, const Issued& issued) {
  const std::string certificate =
      pem_of([&](BIO* out) { return PEM_write_bio_X509(out, issued.certificate.get()); });
  const std::string key = pem_of([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, issued.key.get(), nullptr, nullptr, 0, nullptr,
                                         nullptr);
  });
  const bool written = !certificate.empty() && !key.empty() && write_file(path + ".key", key) &&
                       write_file(path + ".pem", certificate);
  if (!written) return failure({path}, "cannot be written", "give a folder that can be written");
  return {};
}

}  // namespace

Result<void> make_dev_certificates(const std::string& folder, const std::vector<std::string>& hosts,
                                   Validity validity) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  for (const char* file :
       {"ca.pem", "ca.key", "server.pem", "server.key", "client.pem", "client.key"})
    if (std::filesystem::exists(folder + "/" + file, failed))
      return failure({folder + "/" + file}, "is there already",
                     "remove it, or give another folder");
  const Wish of_authority{"railwright development CA",
                          {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                           {NID_key_usage, "critical,keyCertSign,cRLSign"},
                           {NID_subject_key_identifier, "hash"}}};
  const Wish of_server{"railwright coordinator",
                       {{NID_basic_constraints, "critical,CA:FALSE"},
                        {NID_authority_key_identifier, "keyid"},
                        {NID_ext_key_usage, "serverAuth"},
                        {NID_subject_alt_name, alternative_names(hosts)}}};
  const Wish of_client{"railwright client",
                       {{NID_basic_constraints, "critical,CA:FALSE"},
                        {NID_authority_key_identifier, "keyid"},
                        {NID_ext_key_usage, "clientAuth"}}};
  // The authority outlives what it signs, so that an expired certificate is called so.
  const auto authority = issue(of_authority, {}, nullptr);
  if (!authority) return failure({folder}, "OpenSSL could not make an authority");
  if (auto saved = save(folder + "/ca", *authority); !saved) return saved;
  for (const auto& [name, wish] : {std::pair{"server", of_server}, {"client", of_client}}) {
    const auto issued = issue(wish, validity, &*authority);
    if (!issued) return failure({folder}, std::string("OpenSSL could not make the ") + name);
    if (auto saved = save(folder + "/" + name, *issued); !saved) return saved;
  }
  return {};
}

}  // namespace railwright::coordinator::wire
