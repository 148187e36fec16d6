// Files of a run's results: either all of them stand complete in their folder, or none was
// touched. An interrupted run leaves no half-written one and no temporary behind.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace podsim {

struct OutputFile {
    std::string path;
    std::string content;
};

// Throws InputError when files could not be written into `folder`, made here or not: found out
// before hours of work rather than after.
void require_writable(const std::string& folder);

// Writes each file beside its place under another name, then renames them all. SIGINT and SIGTERM
// are held back meanwhile: one that comes before the renames takes everything back, one that
// comes later finds everything done. Throws InputError when something cannot be written.
void write_files(const std::vector<OutputFile>& files);

// SIGINT and SIGTERM end the program with the exit status for interrupted runs.
void exit_on_interrupt();

}  // namespace podsim
