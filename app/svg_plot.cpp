#include "app/svg_plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

#include "app/number_text.hpp"

namespace podsim {

namespace {

constexpr double kWidth = 860, kHeight = 480;
constexpr double kLeft = 78, kTop = 46, kRight = 640, kBottom = 420;

// Distinct also without colour vision: dark to light, with dashes beside.
constexpr std::array<const char*, 8> kColours = {"#1b4965", "#d1495b", "#2a9d8f", "#edae49",
                                                 "#7b2cbf", "#00798c", "#8d5524", "#666666"};

struct Axis {
    double low = 0, high = 1;
    bool logarithmic = false;

    double part(double value) const {
        if (logarithmic) return std::log(value / low) / std::log(high / low);
        return (value - low) / (high - low);
    }
};

std::string escaped(const std::string& text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
            case '&':
                result += "&amp;";
                break;
            case '<':
                result += "&lt;";
                break;
            case '>':
                result += "&gt;";
                break;
            default:
                result += c;
        }
    }
    return result;
}

// 1, 2 or 5 times a power of ten, so that about five steps fit.
double step_of(double span) {
    const double power = std::pow(10, std::floor(std::log10(span / 5)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (span / (factor * power) <= 6) return factor * power;
    }
    return 10 * power;
}

Axis fit(double low, double high, bool logarithmic, bool from_zero) {
    Axis axis{low, high, logarithmic};
    if (logarithmic) {
        // Whole decades where there are several, else a little air.
        if (high / low > 30) {
            axis.low = std::pow(10, std::floor(std::log10(low) + 1e-9));
            axis.high = std::pow(10, std::ceil(std::log10(high) - 1e-9));
        }
        if (axis.high <= axis.low) axis.high = axis.low * 10;
        return axis;
    }
    if (from_zero) axis.low = std::min(0.0, low);
    if (axis.high <= axis.low) axis.high = axis.low + 1;
    const double step = step_of(axis.high - axis.low);
    axis.high = std::ceil(axis.high / step - 1e-9) * step;
    axis.low = std::floor(axis.low / step + 1e-9) * step;
    return axis;
}

std::vector<double> ticks(const Axis& axis) {
    std::vector<double> result;
    if (!axis.logarithmic) {
        const double step = step_of(axis.high - axis.low);
        for (double at = axis.low; at <= axis.high + step / 2; at += step) result.push_back(at);
        return result;
    }
    const bool decades = axis.high / axis.low > 1000;
    for (double power = std::pow(10, std::floor(std::log10(axis.low))); power <= axis.high * 1.0001;
         power *= 10) {
        for (const double factor : {1.0, 2.0, 5.0}) {
            const double at = factor * power;
            if (decades && factor > 1) continue;
            if (at >= axis.low * 0.9999 && at <= axis.high * 1.0001) result.push_back(at);
        }
    }
    return result;
}

std::string tick_text(double value) {
    if (value == 0) return "0";
    if (std::abs(value) >= 1e4 && std::abs(value) < 1e7)
        return fmt::format("{:g}k", std::round(value / 10) / 100);
    return fmt::format("{:g}", std::round(value * 1e6) / 1e6);
}

double x_of(const Axis& axis, double value) {
    return kLeft + axis.part(value) * (kRight - kLeft);
}
double y_of(const Axis& axis, double value) {
    return kBottom - axis.part(value) * (kBottom - kTop);
}

std::string text_at(double x, double y, const std::string& anchor, const std::string& text,
                    const std::string& more = "") {
    return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y,
                       anchor, more, escaped(text));
}

std::string grid(const Axis& x, const Axis& y) {
    std::string svg;
    for (const double at : ticks(x)) {
        svg += fmt::format(
            "<line x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\" stroke=\"#dddddd\"/>\n",
            x_of(x, at), kTop, kBottom);
        svg += text_at(x_of(x, at), kBottom + 18, "middle", tick_text(at));
    }
    for (const double at : ticks(y)) {
        svg += fmt::format(
            "<line x1=\"{1}\" y1=\"{0:.1f}\" x2=\"{2}\" y2=\"{0:.1f}\" stroke=\"#dddddd\"/>\n",
            y_of(y, at), kLeft, kRight);
        svg += text_at(kLeft - 8, y_of(y, at) + 4, "end", tick_text(at));
    }
    return svg + fmt::format(
                     "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" "
                     "stroke=\"#333333\"/>\n",
                     kLeft, kTop, kRight - kLeft, kBottom - kTop);
}

std::string curve(const PlotSeries& series, std::size_t index, const Axis& x, const Axis& y) {
    const char* colour = kColours[index % kColours.size()];
    const std::string dash = series.dashed ? " stroke-dasharray=\"7 4\"" : "";
    std::string points, marks;
    for (const auto& [at_x, at_y] : series.points) {
        const double px = x_of(x, at_x), py = y_of(y, at_y);
        points += fmt::format("{}{:.1f},{:.1f}", points.empty() ? "" : " ", px, py);
        if (series.marks) {
            marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", px,
                                 py, colour);
        }
    }
    const double row = kTop + 14 + 20 * static_cast<double>(index);
    return fmt::format(
               "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{}/>\n",
               points, colour, dash) +
           marks +
           fmt::format(
               "<line x1=\"{0}\" y1=\"{1}\" x2=\"{2}\" y2=\"{1}\" stroke=\"{3}\" "
               "stroke-width=\"2\"{4}/>\n",
               kRight + 14, row - 4, kRight + 42, colour, dash) +
           text_at(kRight + 48, row, "start", series.name);
}

// Wide enough for the longest name in the legend, at 7.5 a letter of this size.
double width_of(const Plot& plot) {
    std::size_t longest = 0;
    for (const PlotSeries& series : plot.series) longest = std::max(longest, series.name.size());
    return std::max(kWidth, std::ceil(kRight + 56 + 7.5 * static_cast<double>(longest)));
}

}  // namespace

std::string svg_of(const Plot& plot) {
    std::vector<PlotSeries> shown = plot.series;
    double low_x = HUGE_VAL, high_x = -HUGE_VAL, low_y = HUGE_VAL, high_y = -HUGE_VAL;
    for (PlotSeries& series : shown) {
        auto& points = series.points;
        points.erase(std::remove_if(points.begin(), points.end(),
                                    [&](const auto& point) {
                                        return (plot.log_x && point.first <= 0) ||
                                               (plot.log_y && point.second <= 0);
                                    }),
                     points.end());
        for (const auto& [x, y] : points) {
            low_x = std::min(low_x, x);
            high_x = std::max(high_x, x);
            low_y = std::min(low_y, y);
            high_y = std::max(high_y, y);
        }
    }
    if (low_x > high_x) throw std::invalid_argument("a plot without a point");
    // A logarithmic x ends where the curves do; a linear one at round numbers.
    Axis x{low_x, high_x, plot.log_x};
    if (!plot.log_x || high_x <= low_x) x = fit(low_x, high_x, plot.log_x, true);
    const Axis y = fit(low_y, high_y, plot.log_y, plot.from_zero);

    std::string svg = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
        "viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" font-size=\"13\">\n"
        "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
        width_of(plot), kHeight);
    svg += text_at(kLeft, 26, "start", plot.title, " font-size=\"16\" font-weight=\"bold\"");
    svg += grid(x, y);
    svg += text_at((kLeft + kRight) / 2, kBottom + 42, "middle", plot.x_label);
    const double middle = (kTop + kBottom) / 2;
    svg += text_at(20, middle, "middle", plot.y_label,
                   fmt::format(" transform=\"rotate(-90 20 {:.1f})\"", middle));
    for (std::size_t i = 0; i < shown.size(); ++i) {
        if (!shown[i].points.empty()) svg += curve(shown[i], i, x, y);
    }
    return svg + "</svg>\n";
}

}  // namespace podsim
