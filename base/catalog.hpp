// Where named documents come from: configs/KIND/NAME.yaml, a path, or a result that carries
// its own documents. Resolves `base:` overlays and --set on the way.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/document.hpp"

namespace podsim {

// One `--set` of the command line: "chip:ascend-910c.hbm.bandwidth=4.8 TB/s" has kind "chip"
// and name "ascend-910c"; "alternatives.H800.chips=64" has neither and goes to the experiment.
// Names may hold dots (llama-3.1-70b): which part is the name is settled where it is looked up,
// `name` being no more than the part before the first dot.
struct Setting {
    std::string kind, name, path, value, text;  // text: as the user wrote it
};
Setting parse_setting(const std::string& text);  // throws InputError

class Catalog {
  public:
    // `root` is a configs/ folder. Throws InputError when it is not a folder.
    explicit Catalog(std::string root, std::vector<Setting> settings = {});

    // The resolved document of `kind` ("chip", "system", "model", "kernels", "collectives",
    // "engine", "prices", "process", "routing", "experiment") called `name`, or at path `name` when
    // it holds a
    // '/' or ends in .yaml/.yml/.json (or as a table in .csv/.gz): beside the file that names it,
    // else from the working directory. `asked_at` is where the name was written. Throws InputError:
    // unknown name (with the nearest), unreadable file, a cycle of `base:`, a base of another kind.
    // The result no longer has the key `base`, and carries the settings made for it. A chip or
    // system that has a base or a setting gets the key `variant_of` with the name of the document
    // it started from; a chip whose power a setting changed keeps the old one as `power_as_built`.
    // Documents are remembered, so that used_documents() can list what a run rests
    // on.
    Node load(const std::string& kind, const std::string& name, const Place& asked_at,
              const std::string& path);

    // Puts a ready document in front of the folder (a result run again from itself).
    void embed(const std::string& kind, const std::string& name, Node document);
    bool holds(const std::string& kind, const std::string& name) const;  // one put there

    std::vector<std::string> names(const std::string& kind) const;  // sorted
    // The file a name stands for, seen from the working directory, looked for as load() does.
    // Throws InputError.
    std::string file_of(const std::string& kind, const std::string& name,
                        const Place& asked_at = {}, const std::string& path = "") const;

    // Where tables of measurements and traces lie that files name; "" for nowhere.
    void set_data_folder(std::string folder) { data_folder_ = std::move(folder); }
    const std::string& data_folder() const { return data_folder_; }

    // Every document loaded so far, "chip/ascend-910c" -> resolved tree, sorted.
    const std::map<std::string, Node>& used_documents() const { return used_; }

    // Settings that named a document nobody loaded, or (kind "") were never applied to an
    // experiment: an unused setting is an error of the user's. Throws InputError.
    void require_all_settings_used() const;

    // Applies the settings without a kind to an experiment's tree.
    void apply_experiment_settings(Node& experiment);

  private:
    // What was opened on the way of `base:`, as named and as found.
    struct Step {
        std::string name, file;
    };
    Node load_resolved(const std::string& kind, const std::string& name, const Place& asked_at,
                       const std::string& path, std::vector<Step>& chain);
    std::string find_file(const std::string& kind, const std::string& name, const Place& asked_at,
                          const std::string& path) const;
    void refuse_other_kinds(const std::string& kind, const std::string& file, const Place& asked_at,
                            const std::string& path) const;
    bool apply_settings(const std::string& kind, const std::string& name, Node& document);  // any?
    std::string path_within(const Setting& setting, const std::string& name) const;

    std::string root_, data_folder_;
    std::vector<Setting> settings_;
    std::vector<bool> setting_used_;
    std::map<std::string, Node> embedded_, used_;
    std::map<std::string, std::string> files_;  // of used_
};

// "chip" -> "chips", "prices" -> "prices": the folder of a kind under configs/.
std::string folder_of_kind(const std::string& kind);
std::vector<std::string> document_kinds();

}  // namespace podsim
