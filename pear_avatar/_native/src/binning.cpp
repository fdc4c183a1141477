#include "binning.h"

#include <cstring>
#include <limits>
#include <utility>

#include "thread_pool.h"

namespace pear {
namespace {

constexpr int kRadixBits = 11, kRadixSize = 1 << kRadixBits, kRadixPasses = 3;

struct TileRange {
  int x0, x1, y0, y1;  // inclusive
  int count() const { return (x1 - x0 + 1) * (y1 - y0 + 1); }
};

TileRange tiles_of(const PixelBox& box) {
  return {box.x0 / kTileWidth, (box.x1 - 1) / kTileWidth, box.y0 / kTileHeight,
          (box.y1 - 1) / kTileHeight};
}

// Stable radix sort of the visible splats on the bits of their depth: for positive floats the order
// of the bits is the order of the numbers. Returns the sorted splat indices.
const int32_t* sort_by_depth(int num_splats, const SplatRecord* projected, Binning& b) {
  uint32_t *keys = b.keys.reserve(num_splats), *keys_other = b.keys_other.reserve(num_splats);
  int32_t *order = b.order.reserve(num_splats), *order_other = b.order_other.reserve(num_splats);
  uint32_t histogram[kRadixPasses][kRadixSize] = {};
  int visible = 0;
  for (int i = 0; i < num_splats; ++i) {
    const SplatRecord& r = projected[i];
    if (r.box.x1 <= r.box.x0) continue;
    uint32_t key;
    std::memcpy(&key, &r.feature[kFirstChannels], sizeof key);
    keys[visible] = key;
    order[visible++] = i;
    for (int pass = 0; pass < kRadixPasses; ++pass)
      ++histogram[pass][(key >> (pass * kRadixBits)) & (kRadixSize - 1)];
  }
  b.num_records = visible;
  for (int pass = 0; pass < kRadixPasses; ++pass) {
    uint32_t* start = histogram[pass];
    uint32_t total = 0;
    for (int digit = 0; digit < kRadixSize; ++digit) total += std::exchange(start[digit], total);
    for (int i = 0; i < visible; ++i) {
      const uint32_t digit = (keys[i] >> (pass * kRadixBits)) & (kRadixSize - 1);
      const uint32_t to = start[digit]++;
      keys_other[to] = keys[i];
      order_other[to] = order[i];
    }
    std::swap(keys, keys_other);
    std::swap(order, order_other);
  }
  if (order != b.order.data()) std::swap(b.order, b.order_other);
  return order;
}

// Counts the pairs of every tile and turns them into offsets.
bool count_pairs(const Frame& frame, const SplatRecord* records, Binning& b) {
  const int tiles = frame.tiles_x * frame.tiles_y;
  int* offsets = b.tile_offsets.reserve(tiles + 1);
  std::memset(offsets, 0, (tiles + 1) * sizeof(int));
  int64_t total = 0;
  for (int i = 0; i < b.num_records; ++i) {
    const TileRange range = tiles_of(records[i].box);
    total += range.count();
    if (total > std::numeric_limits<int>::max()) return false;
    for (int y = range.y0; y <= range.y1; ++y)
      for (int x = range.x0; x <= range.x1; ++x) ++offsets[y * frame.tiles_x + x + 1];
  }
  for (int tile = 0; tile < tiles; ++tile) offsets[tile + 1] += offsets[tile];
  b.num_pairs = total;
  return true;
}

}  // namespace

bool bin_splats(const Frame& frame, const SplatRecord* projected, Binning& b) {
  const int32_t* order = sort_by_depth(frame.num_splats, projected, b);
  SplatRecord* records = b.records.reserve(b.num_records);
  parallel_for(b.num_records, 8192, [&](int begin, int end) {
    for (int i = begin; i < end; ++i) records[i] = projected[order[i]];
  });

  if (!count_pairs(frame, records, b)) return false;
  const int tiles = frame.tiles_x * frame.tiles_y;
  int* list = b.tile_list.reserve(b.num_pairs);
  int* slots = b.pair_slots.reserve(b.num_pairs);
  PairRange* ranges = b.ranges.reserve(frame.num_splats);
  std::memset(ranges, 0, frame.num_splats * sizeof(PairRange));
  int* cursor = b.tile_cursor.reserve(tiles);
  std::memcpy(cursor, b.tile_offsets.data(), tiles * sizeof(int));
  int pair = 0;
  for (int i = 0; i < b.num_records; ++i) {
    const TileRange range = tiles_of(records[i].box);
    ranges[order[i]] = {pair, pair + range.count()};
    for (int y = range.y0; y <= range.y1; ++y)
      for (int x = range.x0; x <= range.x1; ++x) {
        const int entry = cursor[y * frame.tiles_x + x]++;
        list[entry] = i;
        slots[entry] = pair++;
      }
  }
  return true;
}

}  // namespace pear
