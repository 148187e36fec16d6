#include "base/minimise.hpp"

#include <nlopt.h>

#include <cmath>
#include <exception>
#include <limits>
#include <memory>
#include <stdexcept>

namespace podsim {

namespace {

struct Call {
    const std::function<double(const std::vector<double>&)>& function;
    std::vector<double> point;
    Minimum best;
    std::exception_ptr thrown;  // an exception may not pass through C
    nlopt_opt optimiser = nullptr;
};

double evaluate(unsigned size, const double* x, double*, void* data) {
    Call& call = *static_cast<Call*>(data);
    call.point.assign(x, x + size);
    double value = std::numeric_limits<double>::infinity();
    try {
        value = call.function(call.point);
    } catch (...) {
        call.thrown = std::current_exception();
        nlopt_force_stop(call.optimiser);
        return 0;
    }
    if (std::isnan(value)) value = std::numeric_limits<double>::infinity();
    if (value < call.best.value) call.best = {call.point, value};
    return std::min(value, 1e300);
}

}  // namespace

Minimum minimise(const std::function<double(const std::vector<double>&)>& function,
                 const std::vector<double>& start, const Box& box, int evaluations,
                 double tolerance) {
    const std::size_t size = start.size();
    if (size == 0 || box.low.size() != size || box.high.size() != size) {
        throw std::invalid_argument("a box with as many sides as the start has values is needed");
    }
    for (std::size_t i = 0; i < size; ++i) {
        if (!(box.low[i] <= start[i] && start[i] <= box.high[i])) {
            throw std::invalid_argument("the start is outside the box");
        }
    }
    const std::unique_ptr<nlopt_opt_s, void (*)(nlopt_opt)> optimiser(
        nlopt_create(NLOPT_LN_SBPLX, static_cast<unsigned>(size)), nlopt_destroy);
    if (!optimiser) throw std::bad_alloc();
    Call call{
        function, {}, {start, std::numeric_limits<double>::infinity()}, nullptr, optimiser.get()};
    nlopt_set_min_objective(optimiser.get(), evaluate, &call);
    nlopt_set_lower_bounds(optimiser.get(), box.low.data());
    nlopt_set_upper_bounds(optimiser.get(), box.high.data());
    nlopt_set_ftol_rel(optimiser.get(), tolerance);
    nlopt_set_maxeval(optimiser.get(), evaluations);
    std::vector<double> at = start;
    double value = 0;
    // Running out of evaluations or of precision is an end like any other: `best` has the least.
    nlopt_optimize(optimiser.get(), at.data(), &value);
    if (call.thrown) std::rethrow_exception(call.thrown);
    return call.best;
}

}  // namespace podsim
