#include "chips/measured_file.hpp"

#include <algorithm>
#include <cstdint>

namespace podsim {

std::string measured_file(std::string_view magic, const std::string& setting,
                          const std::string& values) {
    ByteWriter writer;
    writer.add(setting);
    writer.add(values);
    writer.add(fingerprint(values, fingerprint(setting)));
    return std::string(magic) + writer.take();
}

std::optional<std::string_view> measured_values(std::string_view file, std::string_view magic,
                                                const std::string& setting) {
    ByteReader reader(file);
    std::string_view beginning, of, values;
    std::uint64_t checksum = 0;
    if (!reader.take(beginning, magic.size()) || beginning != magic) return std::nullopt;
    if (!reader.take(of) || of != setting || !reader.take(values) || !reader.take(checksum))
        return std::nullopt;
    if (!reader.at_end() || fingerprint(values, fingerprint(setting)) != checksum)
        return std::nullopt;
    return values;
}

bool take_numbers(ByteReader& reader, std::vector<double>& numbers) {
    constexpr std::size_t most = 10000;
    std::size_t count = 0;
    if (!reader.take(count) || count > most) return false;
    numbers.resize(count);
    return std::all_of(numbers.begin(), numbers.end(),
                       [&](double& number) { return reader.take(number); });
}

}  // namespace podsim
