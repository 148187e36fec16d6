// Costs on disk: kept and found again; nothing there is an error, nothing of it is ever wrong.
#include "sim/cost_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "tests/unit/chips/tiny_chip.hpp"

namespace podsim {
namespace {

namespace fs = std::filesystem;

class CostFileTest : public testing::Test {
  protected:
    CostFileTest() {
        std::string pattern = (fs::temp_directory_path() / "podsim-test-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
        root_ = pattern;
    }
    ~CostFileTest() override {
        std::error_code ignored;
        fs::remove_all(root_, ignored);
    }

    // Costs of products with m from `first` on; how many of them were on disk. Each is what it is
    // without a cache.
    static long ask(const std::string& folder, long first = 1, long count = 4) {
        CostCache cache = make();
        const CostFile file(folder, cache);
        for (long m = first; m < first + count; ++m) {
            const OperatorBody body = Gemm{m, 32, 64, 1};
            const double time = cache.cost(body, 1.0).time.value();
            const double anew =
                operator_cost(body, tiny_chip(), tiny_library(), Fidelity::tile, 1.0).time.value();
            if (time != anew) return -1;
        }
        file.keep(cache);
        return cache.stored_hits();
    }
    static CostCache make() { return {tiny_chip(), tiny_library(), Fidelity::tile, true}; }

    std::vector<fs::path> files() const {
        std::vector<fs::path> all;
        for (const auto& entry : fs::recursive_directory_iterator(root_))
            if (!entry.is_directory()) all.push_back(entry.path());
        return all;
    }

    fs::path root_;
};

TEST_F(CostFileTest, KeptAndFoundAgain) {
    const std::string folder = root_ / "made" / "on the way";
    EXPECT_EQ(ask(folder), 0);
    ASSERT_EQ(files().size(), 1u);
    const auto written = fs::last_write_time(files()[0]);
    EXPECT_EQ(ask(folder), 4);
    EXPECT_EQ(fs::last_write_time(files()[0]), written);  // nothing new, not written
    EXPECT_EQ(ask(folder, 3, 4), 2);                      // two of four
    EXPECT_EQ(ask(folder, 1, 6), 6);
    EXPECT_EQ(files().size(), 1u);
    EXPECT_EQ(ask(""), 0);
}

// Settings have places of their own. That all of them fall into one happens once in 10^12 versions
// of the code.
TEST_F(CostFileTest, OtherSettingsFindNothing) {
    EXPECT_EQ(ask(root_), 0);
    for (long rows = 8; rows < 12; ++rows) {
        RankHardware hardware = tiny_chip();
        hardware.minimum_rows = rows;
        CostCache other(hardware, tiny_library(), Fidelity::tile, true);
        const CostFile file(root_, other);
        (void)other.cost(Gemm{1, 32, 64, 1}, 1.0);
        EXPECT_EQ(other.stored_hits(), 0);
        file.keep(other);
    }
    EXPECT_GT(files().size(), 1u);
}

TEST_F(CostFileTest, SwitchedOffNothingIsWritten) {
    for (const Fidelity fidelity : {Fidelity::tile, Fidelity::analytic}) {
        CostCache cache(tiny_chip(), tiny_library(), fidelity, fidelity == Fidelity::analytic);
        const CostFile file(root_, cache);
        (void)cache.cost(Gemm{1, 32, 64, 1}, 1.0);
        file.keep(cache);
    }
    EXPECT_TRUE(files().empty());
}

// What lies in the place and is none of ours is written over.
TEST_F(CostFileTest, TornAndForeignFiles) {
    EXPECT_EQ(ask(root_), 0);
    const fs::path path = files().at(0);
    const auto size = fs::file_size(path);
    for (const std::uintmax_t kept : {std::uintmax_t{0}, std::uintmax_t{10}, size / 2, size - 1}) {
        fs::resize_file(path, kept);
        EXPECT_GE(ask(root_), 0) << kept;
        EXPECT_EQ(ask(root_), 4) << kept;
    }
    std::ofstream(path) << "title: something else\n";
    EXPECT_EQ(ask(root_), 0);
    EXPECT_EQ(ask(root_), 4);
    fs::resize_file(path, 1U << 20);  // larger than any of ours
    EXPECT_EQ(ask(root_), 0);
    EXPECT_EQ(ask(root_), 4);
    fs::remove(path);
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);  // nobody writes into it
    EXPECT_EQ(ask(root_), 0);
    EXPECT_EQ(ask(root_), 4);
}

// A folder in the file's place, a file in the folder's: no cache, no error, no leftovers.
TEST_F(CostFileTest, WhereNothingCanBeWritten) {
    EXPECT_EQ(ask(root_), 0);
    const fs::path path = files().at(0);
    fs::remove(path);
    fs::create_directories(path / "inside");
    EXPECT_EQ(ask(root_), 0);
    EXPECT_EQ(ask(root_), 0);
    EXPECT_TRUE(files().empty());
    fs::remove_all(path);
    std::ofstream(root_ / "file") << "in the way";
    EXPECT_EQ(ask(root_ / "file" / "folder"), 0);
    EXPECT_EQ(files().size(), 1u);
}

// Bounded, whatever is asked: the newest costs stay.
TEST_F(CostFileTest, NeverLargerThanItsPlace) {
    for (long first = 1; first <= 4001; first += 1000) EXPECT_GE(ask(root_, first, 1000), 0);
    EXPECT_LE(fs::file_size(files().at(0)), 256U << 10);
    EXPECT_EQ(ask(root_, 4901, 100), 100);
    EXPECT_EQ(ask(root_, 1, 100), 0);
}

// Processes that write at once: a reader finds all of one file or all of another.
TEST_F(CostFileTest, WritersAtOnce) {
    EXPECT_EQ(ask(root_, 1, 4), 0);
    std::vector<pid_t> children;
    for (long child = 0; child < 3; ++child) {
        const pid_t id = fork();
        ASSERT_GE(id, 0);
        if (id == 0) {
            bool right = true;
            // Each round something new, so that each writes.
            for (long round = 0; round < 100; ++round) {
                right = right && ask(root_, 1, 4) == 4;
                right = right && ask(root_, 100 + 1000 * child + round, 1) >= 0;
            }
            _exit(right ? 0 : 1);
        }
        children.push_back(id);
    }
    for (const pid_t id : children) {
        int status = 0;
        waitpid(id, &status, 0);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    EXPECT_EQ(ask(root_, 1, 4), 4);
    EXPECT_EQ(files().size(), 1u);
}

}  // namespace
}  // namespace podsim
