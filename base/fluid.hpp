// Who gets how much when several things want the same resources at once.
//
// Activities i run at speeds s_i, 1 being the speed of i alone. At speed 1 it uses the share
// u_ir >= 0 of the capacity of resource r (above 1: alone it would already be held back). With
// weights w_i > 0 the speeds are the weighted max-min fair ones:
//
//   (1)  0 <= s_i <= 1                        for every activity i
//   (2)  sum over i of u_ir s_i <= 1          for every resource r
//   (3)  s_i = 1, or some resource r with u_ir > 0 is full (equality in (2)) and no other
//        activity j that uses r has s_j / w_j > s_i / w_i
//
// of which there is exactly one (Bertsekas and Gallager, Data Networks, 1992, 6.5.2). Progressive
// filling finds it: all s_i = w_i L rise with one level L; whoever reaches 1 or a full resource
// stays. What is left out: a resource whose capacity depends on who uses it, and rates that
// finish together (coflows), which are made by giving one activity the whole demand vector.
#pragma once

#include <utility>
#include <vector>

namespace podsim {

struct FluidActivity {
    std::vector<std::pair<int, double>> usage;  // (resource, u); entries of one resource add up
    double weight = 1.0;
};

// The speed of each activity among `resources` of capacity 1, numbered from 0. Throws
// std::invalid_argument: a resource out of range, a usage below 0, a weight not above 0, or any
// of them not finite. Rounding may break (2) by 1e-12. Time: activities x usages at worst.
std::vector<double> max_min_speeds(const std::vector<FluidActivity>& activities, int resources);

}  // namespace podsim
