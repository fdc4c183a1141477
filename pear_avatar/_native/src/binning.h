// From projected splats in the caller's order to depth-sorted lists, one a tile.
#pragma once

#include <cstdint>
#include <vector>

#include "raster.h"

namespace pear {

// Grows without copying and without clearing; never shrinks.
template <class T>
class Buffer {
 public:
  T* reserve(int64_t count) {
    if (count > static_cast<int64_t>(storage_.size())) {
      storage_.clear();
      storage_.shrink_to_fit();
      storage_.resize(count + count / 4 + 16);
    }
    return storage_.data();
  }
  T* data() { return storage_.data(); }

 private:
  std::vector<T> storage_;
};

struct Binning {
  int num_records = 0;
  int64_t num_pairs = 0;
  Buffer<SplatRecord> records;    // in depth order
  Buffer<int32_t> order;          // splat of each record
  Buffer<PairRange> ranges;       // pairs of each splat, in the caller's order
  Buffer<int> tile_offsets;       // (tiles + 1,)
  Buffer<int> tile_list;          // (pairs,) records by tile, in depth order within one
  Buffer<int> pair_slots;         // (pairs,) by tile: place of the pair among its record's pairs
  Buffer<uint32_t> keys, keys_other;
  Buffer<int32_t> order_other;
  Buffer<int> tile_cursor;
};

// Fills `binning` from `projected`, (frame.num_splats,). False: more pairs than fit an int.
bool bin_splats(const Frame& frame, const SplatRecord* projected, Binning& binning);

}  // namespace pear
