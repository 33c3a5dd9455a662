#include "cuda/kernels.h"
namespace ltgnn::cuda { void in_batch_softmax_loss(const LossParams&, const Launch&) {} }
