// Files of a result: all of them or none.
#include "app/output_files.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "base/diagnostic.hpp"
#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Names = std::vector<std::string>;

TEST(WriteFiles, MakesFoldersAndReplaces) {
    const Folder folder;
    write_files({{folder / "a/b/one", "1"}, {folder / "a/two", "2"}});
    EXPECT_EQ(folder.read("a/b/one"), "1");
    write_files({{folder / "a/b/one", "3"}});
    EXPECT_EQ(folder.read("a/b/one"), "3");
    EXPECT_EQ(folder.files(), (Names{"a/b/one", "a/two"}));
}

TEST(WriteFiles, NoneWhenOneCannotBe) {
    const Folder folder;
    folder.write("taken/x", "");
    folder.write("one", "old");
    EXPECT_THROW(write_files({{folder / "one", "new"}, {folder / "taken", "2"}}), InputError);
    EXPECT_THROW(write_files({{folder / "new/one", "1"}, {folder / "one/below", "2"}}), InputError);
    EXPECT_EQ(folder.files(), (Names{"one", "taken/x"}));
    EXPECT_EQ(folder.read("one"), "old");
    EXPECT_FALSE(folder.has("new"));  // the folder made on the way is gone again
}

TEST(WriteFiles, NoneWhenInterrupted) {
    const Folder folder;
    // The signal comes while files are written; here it is pending from the start.
    sigset_t termination, before;
    sigemptyset(&termination);
    sigaddset(&termination, SIGTERM);
    sigprocmask(SIG_BLOCK, &termination, &before);
    raise(SIGTERM);
    write_files({{folder / "new/one", "1"}});
    EXPECT_EQ(folder.files(), Names{});
    EXPECT_FALSE(folder.has("new"));
    int taken = 0;
    sigwait(&termination, &taken);
    sigprocmask(SIG_SETMASK, &before, nullptr);
    EXPECT_EQ(taken, SIGTERM);
    write_files({{folder / "new/one", "1"}});
    EXPECT_EQ(folder.files(), Names{"new/one"});
}

TEST(RequireWritable, FoldersThatAreOrCouldBe) {
    const Folder folder;
    folder.write("file", "");
    EXPECT_NO_THROW(require_writable(folder.path()));
    EXPECT_NO_THROW(require_writable(folder / "not/yet/there/"));
    EXPECT_NO_THROW(require_writable("relative-and-not-there"));
    EXPECT_THROW(require_writable(folder / "file"), InputError);
    EXPECT_THROW(require_writable(folder / "file/below"), InputError);
}

}  // namespace
}  // namespace podsim
