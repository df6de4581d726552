// Matrices as the layers see them: a row per token, or per input of a weight.
#pragma once

#include <Eigen/Dense>

namespace railwright::worker::train {

template <class Scalar>
using MatrixOf = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class Scalar>
using RowOf = Eigen::Matrix<Scalar, 1, Eigen::Dynamic>;
template <class Scalar>
using ViewOf = Eigen::Map<MatrixOf<Scalar>>;
template <class Scalar>
using ConstViewOf = Eigen::Map<const MatrixOf<Scalar>>;

using Matrix = MatrixOf<float>;
using View = ViewOf<float>;
using ConstView = ConstViewOf<float>;

}  // namespace railwright::worker::train
