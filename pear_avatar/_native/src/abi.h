// What every entry point of the C ABI shares. pear_avatar/_native/__init__.py mirrors this.
#pragma once

#include <cstdint>

#if defined(_WIN32)
#define PEAR_EXPORT extern "C" __declspec(dllexport)
#else
#define PEAR_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace pear {

// Raised whenever a signature changes, so that a stale library is recognised.
constexpr int kAbiVersion = 4;

enum Status : int {
  kOk = 0,
  kOutOfMemory = 1,
  kTooManyPairs = 2,
};

}  // namespace pear
