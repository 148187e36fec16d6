// Plots as SVG: lines over linear or logarithmic axes with a legend. No library behind it; equal
// input gives equal bytes.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace podsim {

struct PlotSeries {
    std::string name;
    std::vector<std::pair<double, double>> points;  // ascending in x
    bool dashed = false;
    bool marks = false;  // a dot at each point
};

struct Plot {
    std::string title, x_label, y_label;  // labels with their unit
    bool log_x = false, log_y = false;
    bool from_zero = true;  // a linear y axis begins at 0
    std::vector<PlotSeries> series;
};

// Points that a logarithmic axis cannot show (0 and below) are left out. Throws
// std::invalid_argument where no point is left.
std::string svg_of(const Plot& plot);

}  // namespace podsim
