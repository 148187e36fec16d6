#pragma once

#include <csignal>
#include <ctime>

namespace podsim {

// Holds SIGINT and SIGTERM back while it lives.
class SignalsHeld {
  public:
    SignalsHeld() {
        sigset_t held;
        sigemptyset(&held);
        sigaddset(&held, SIGINT);
        sigaddset(&held, SIGTERM);
        sigprocmask(SIG_BLOCK, &held, &before_);
    }
    ~SignalsHeld() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
    SignalsHeld(const SignalsHeld&) = delete;
    SignalsHeld& operator=(const SignalsHeld&) = delete;

    // Whether one came meanwhile.
    static bool interrupted() {
        sigset_t pending;
        sigpending(&pending);
        return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1;
    }

    // Takes those that came, so that they do not end the program. Returns whether there was one.
    static bool take() {
        sigset_t held;
        sigemptyset(&held);
        sigaddset(&held, SIGINT);
        sigaddset(&held, SIGTERM);
        const timespec now{};
        bool any = false;
        while (sigtimedwait(&held, nullptr, &now) > 0) any = true;
        return any;
    }

  private:
    sigset_t before_{};
};

}  // namespace podsim
