package io.spillway.valve;

import com.google.protobuf.CodedInputStream;
import com.google.protobuf.WireFormat;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A batch as Google's protobuf library reads it. */
record DecodedBatch(
    String id, String job, String workload, long windowSizeMs, List<DecodedBatch.Item> items) {

  /** One record. */
  record Item(long timeMs, String text) {}

  static DecodedBatch of(byte[] message) {
    try {
      return read(CodedInputStream.newInstance(message));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static DecodedBatch read(CodedInputStream in) throws IOException {
    String id = "";
    String job = "";
    String workload = "";
    long windowSize = 0;
    long base = 0;
    List<Long> offsets = new ArrayList<>();
    List<Integer> lengths = new ArrayList<>();
    byte[] bytes = new byte[0];
    int tag;
    while ((tag = in.readTag()) != 0) {
      switch (WireFormat.getTagFieldNumber(tag)) {
        case 1 -> id = in.readStringRequireUtf8();
        case 2 -> job = in.readStringRequireUtf8();
        case 3 -> workload = in.readStringRequireUtf8();
        case 4 -> windowSize = in.readInt64();
        case 5 -> base = in.readSInt64();
        case 6 -> {
          int limit = in.pushLimit(in.readRawVarint32());
          while (!in.isAtEnd()) {
            offsets.add(in.readSInt64());
          }
          in.popLimit(limit);
        }
        case 7 -> {
          int limit = in.pushLimit(in.readRawVarint32());
          while (!in.isAtEnd()) {
            lengths.add(in.readUInt32());
          }
          in.popLimit(limit);
        }
        case 8 -> bytes = in.readByteArray();
        default -> throw new IOException("Unknown field " + tag);
      }
    }
    List<Item> items = new ArrayList<>();
    int at = 0;
    for (int i = 0; i < offsets.size(); i++) {
      items.add(
          new Item(
              base + offsets.get(i),
              new String(bytes, at, lengths.get(i), StandardCharsets.ISO_8859_1)));
      at += lengths.get(i);
    }
    if (at != bytes.length || lengths.size() != offsets.size()) {
      throw new IOException("The columns do not fit together");
    }
    return new DecodedBatch(id, job, workload, windowSize, items);
  }

  /** The receipt that the function would give. */
  String receipt() {
    Map<Long, Long> windows = new TreeMap<>();
    for (Item item : items) {
      windows.merge(item.timeMs - Math.floorMod(item.timeMs, windowSizeMs), 1L, Long::sum);
    }
    List<String> counts = new ArrayList<>();
    windows.forEach(
        (start, records) ->
            counts.add(
                "{\"start_ms\": " + start + ", \"records\": " + records + ", \"malformed\": 0}"));
    return "{\"type\": \"receipt\", \"version\": 1, \"job\": \""
        + job
        + "\", \"batch\": \""
        + id
        + "\", \"workload\": \""
        + workload
        + "\", \"window_size_ms\": "
        + windowSizeMs
        + ", \"object\": \"partials/x/"
        + id
        + ".parquet\", \"bytes\": 1, \"sha256\": \"00\", \"rows\": 1, \"records\": "
        + items.size()
        + ", \"malformed\": 0, \"windows\": ["
        + String.join(", ", counts)
        + "]}";
  }
}
