// A small pool that sleeps when idle (OpenMP's default spins, which hurts beside busy neighbours).
#pragma once

#include <type_traits>

namespace pear {

// Threads that parallel_for may use, the caller's included; at first the number of usable cores.
int num_threads();
void set_num_threads(int count);

// Calls body(context, begin, end) on pieces of [0, count) of at most `grain`. Runs on the caller
// alone where the pool is busy with another caller's loop, so nesting and concurrency are safe.
void parallel_for(int count, int grain, void (*body)(void*, int, int), void* context);

template <class Body>
void parallel_for(int count, int grain, Body&& body) {
  parallel_for(
      count, grain,
      [](void* context, int begin, int end) {
        (*static_cast<typename std::remove_reference<Body>::type*>(context))(begin, end);
      },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace pear
