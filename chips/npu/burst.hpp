// What a burst says of itself beside address, length and direction, and where its payloads live.
#pragma once

#include <memory>
#include <vector>

#include "base/systemc.hpp"

namespace podsim::npu {

// For the L2 alone; other targets need not know it.
struct BurstHints : tlm::tlm_extension<BurstHints> {
    bool stays = false;   // written data stays in L2
    bool shared = false;  // one read serves a multicast group
    tlm::tlm_extension_base* clone() const override { return new BurstHints(*this); }
    void copy_from(const tlm::tlm_extension_base& other) override {
        *this = static_cast<const BurstHints&>(other);
    }
};

// Payloads that are used again: no memory is taken once a simulation runs.
class BurstPool : public tlm::tlm_mm_interface {
  public:
    BurstPool() = default;
    BurstPool(const BurstPool&) = delete;
    BurstPool& operator=(const BurstPool&) = delete;
    ~BurstPool() override {
        for (auto& payload : all_) payload->clear_extension<BurstHints>();
    }

    tlm::tlm_generic_payload& take(std::uint64_t address, std::uint64_t bytes, bool write) {
        if (free_.empty()) {
            all_.push_back(std::make_unique<tlm::tlm_generic_payload>(this));
            hints_.push_back(std::make_unique<BurstHints>());
            all_.back()->set_extension(hints_.back().get());
            free_.push_back(all_.back().get());
        }
        tlm::tlm_generic_payload& payload = *free_.back();
        free_.pop_back();
        payload.acquire();
        payload.set_command(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
        payload.set_address(address);
        payload.set_data_ptr(nullptr);
        payload.set_data_length(static_cast<unsigned>(bytes));
        payload.set_streaming_width(static_cast<unsigned>(bytes));
        payload.set_byte_enable_ptr(nullptr);
        payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
        *payload.get_extension<BurstHints>() = BurstHints{};
        return payload;
    }
    void free(tlm::tlm_generic_payload* payload) override { free_.push_back(payload); }

  private:
    std::vector<std::unique_ptr<tlm::tlm_generic_payload>> all_;
    std::vector<std::unique_ptr<BurstHints>> hints_;
    std::vector<tlm::tlm_generic_payload*> free_;
};

}  // namespace podsim::npu
