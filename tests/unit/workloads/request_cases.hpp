// Request traces as text, in a folder of their own.
#pragma once

#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "workloads/request_trace.hpp"

namespace podsim {

class RequestFolder {
  public:
    RequestFolder() {
        static int number = 0;
        path_ = std::filesystem::temp_directory_path() /
                ("podsim_requests_" + std::to_string(getpid()) + "_" + std::to_string(number++));
        std::filesystem::create_directories(path_);
    }
    ~RequestFolder() {
        std::error_code none;
        std::filesystem::remove_all(path_, none);
    }
    RequestFolder(const RequestFolder&) = delete;
    RequestFolder& operator=(const RequestFolder&) = delete;

    std::string write(const std::string& name, const std::string& bytes) const {
        std::ofstream(path_ / name, std::ios::binary) << bytes;
        return (path_ / name).string();
    }

  private:
    std::filesystem::path path_;
};

inline std::string gzipped(const std::string& text) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    std::string bytes(deflateBound(&stream, text.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
    stream.avail_out = static_cast<uInt>(bytes.size());
    deflate(&stream, Z_FINISH);
    bytes.resize(stream.total_out);
    deflateEnd(&stream);
    return bytes;
}

inline std::vector<Request> all_of(const RequestStream& stream) {
    std::vector<Request> requests;
    Request request;
    while (stream.next(request)) requests.push_back(request);
    return requests;
}

inline const std::string kAzureText =
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:17:03.9799600,4808,10\n"
    "2023-11-16 18:17:04.0319600,3180,8\n"
    "2023-11-16 18:17:04.0781490,110,27\n";

inline const std::string kBurstText =
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,472,18,490,Conversation log\n"
    "45,ChatGPT,1087,230,1317,Conversation log\n"
    "118,GPT-4,417,0,417,API log\n"
    "120,GPT-4,400,20,420,API log\n";

inline const std::string kMooncakeText =
    "{\"timestamp\": 0, \"input_length\": 1030, \"output_length\": 5, \"hash_ids\": [0, 1, 2]}\n"
    "{\"timestamp\": 0, \"input_length\": 1024, \"output_length\": 7, \"hash_ids\": [0, 3]}\n"
    "{\"timestamp\": 0, \"input_length\": 512, \"output_length\": 7, \"hash_ids\": [4]}\n"
    "{\"timestamp\": 3000, \"input_length\": 600, \"output_length\": 9, \"hash_ids\": [0, 9]}\n"
    "{\"timestamp\": 9000, \"input_length\": 600, \"output_length\": 9, \"hash_ids\": [0, 9]}\n"
    "{\"timestamp\": 9000, \"input_length\": 600, \"output_length\": 9, \"hash_ids\": [0, 9]}\n";

inline const std::string kBailianText =
    "{\"chat_id\": 159, \"parent_chat_id\": -1, \"timestamp\": 61.114, \"input_length\": 17, "
    "\"output_length\": 16, \"type\": \"text\", \"turn\": 1, \"hash_ids\": [1, 2]}\n"
    "{\"chat_id\": 160, \"parent_chat_id\": 159, \"timestamp\": 64.5, \"input_length\": 49, "
    "\"output_length\": 3, \"type\": \"text\", \"turn\": 2, \"hash_ids\": [1, 3, 4, 5]}\n";

}  // namespace podsim
