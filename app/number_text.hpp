// Numbers as a reader wants them: four significant digits, in a unit that keeps them short.
#pragma once

#include <string>

namespace podsim {

// Fixed notation with at least `digits` significant ones: 1943, 12.35, 0.04567. What would need
// more than 3 zeros after the point, or reaches 10^7, is written with an exponent.
std::string significant(double value, int digits = 4);

// With the sign, also where it is plus.
std::string signed_significant(double value, int digits = 3);

// The unit a value of `unit` is printed in: s -> ms, B/s -> GB/s, FLOP/s -> TFLOP/s, a share -> %.
// What is not known stays as it is.
struct PrintUnit {
    std::string text;
    double factor = 1;
};
PrintUnit print_unit(const std::string& unit);

}  // namespace podsim
