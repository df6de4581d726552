#include "worker/train/products.hpp"

namespace railwright::worker::train {
namespace {

template <class Scalar>
class EigenProducts : public ProductsOf<Scalar> {
 public:
  bool on_gpu() const override { return false; }
  std::string name() const override { return "Eigen"; }
  void multiply(Form form, const OperandOf<Scalar>& a, const OperandOf<Scalar>& b,
                PlaceOf<Scalar> c) override {
    switch (form) {
      case Form::plain:
        c.noalias() = a * b;
        return;
      case Form::left_transposed:
        c.noalias() = a.transpose() * b;
        return;
      case Form::right_transposed:
        c.noalias() = a * b.transpose();
        return;
    }
  }
};

}  // namespace

template <class Scalar>
ProductsOf<Scalar>& cpu_products() {
  static EigenProducts<Scalar> products;
  return products;
}
template ProductsOf<float>& cpu_products<float>();
template ProductsOf<double>& cpu_products<double>();

}  // namespace railwright::worker::train
