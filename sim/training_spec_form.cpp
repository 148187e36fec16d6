#include "sim/training_spec_form.hpp"

namespace podsim {

double TrainingForm::global_batch() const {
    if (sequences) return static_cast<double>(*sequences);
    return batch_tokens ? batch_tokens->value() / sequence.value() : 0;
}

}  // namespace podsim
