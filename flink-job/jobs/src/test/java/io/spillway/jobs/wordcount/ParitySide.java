package io.spillway.jobs.wordcount;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.functions.DefaultOpenContext;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/**
 * The Java side of the differential fuzz test, see {@code core/examples/parity}: what the local
 * lane makes of each case, with the very operator that runs in the job. Not a test: {@code
 * experiments/parity/run.py} runs its main.
 *
 * <p>A request on standard input: one byte ({@code d} digest or {@code s} show), the number of
 * cases (int), and for each its event time (long), window size (long), length (int) and bytes. The
 * answer: the FNV-1a digest of all cases' rows (long), or a text (int length, UTF-8).
 */
final class ParitySide implements Collector<Tuple2<String, Integer>> {
  private static final long FNV_BASIS = 0xcbf29ce484222325L;
  private static final long FNV_PRIME = 0x100000001b3L;

  /** What a word counts, as the burst function has it in its rows. */
  private static final long COUNT = 1;

  private final Tokenizer tokenizer = new Tokenizer();
  private final List<String> shown = new ArrayList<>();
  private long digest;
  private int rows;
  private int records;
  private boolean show;

  private ParitySide() throws Exception {
    tokenizer.open(DefaultOpenContext.INSTANCE);
  }

  /** Answers until the end of the input. */
  public static void main(String[] args) throws Exception {
    ParitySide side = new ParitySide();
    try (DataInputStream in = new DataInputStream(buffered(System.in));
        DataOutputStream out = new DataOutputStream(buffered(System.out))) {
      for (int kind = in.read(); kind >= 0; kind = in.read()) {
        side.answer(kind == 's', in, out);
        out.flush();
      }
    }
  }

  private static InputStream buffered(InputStream in) {
    return new BufferedInputStream(in, 1 << 16);
  }

  private static OutputStream buffered(OutputStream out) {
    return new BufferedOutputStream(out);
  }

  private void answer(boolean show, DataInputStream in, DataOutputStream out) throws Exception {
    this.show = show;
    digest = FNV_BASIS;
    shown.clear();
    long start = 0;
    for (int left = in.readInt(); left > 0; left--) {
      long eventTimeMs = in.readLong();
      long windowSizeMs = in.readLong();
      byte[] record = new byte[in.readInt()];
      in.readFully(record);
      start = TimeWindow.getWindowStartWithOffset(eventTimeMs, 0, windowSizeMs);
      addLong(start);
      process(record);
    }
    if (show) {
      byte[] text = ("window " + start + ": " + shown).getBytes(StandardCharsets.UTF_8);
      out.writeInt(text.length);
      out.write(text);
    } else {
      out.writeLong(digest);
    }
  }

  private void process(byte[] record) throws Exception {
    rows = 0;
    records = 0;
    tokenizer.flatMap(record, this);
    if (records != 1) {
      throw new IOException("a record was counted " + records + " times");
    }
    addInt(rows);
    // No record is malformed to wordcount.
    addByte(0);
  }

  @Override
  public void collect(Tuple2<String, Integer> token) {
    records += token.f1;
    if (token.f0.equals(Tokenizer.NO_WORD)) {
      return;
    }
    rows++;
    byte[] key = token.f0.getBytes(StandardCharsets.UTF_8);
    addInt(key.length);
    for (byte b : key) {
      addByte(b);
    }
    addLong(COUNT);
    if (show) {
      shown.add(token.f0);
    }
  }

  @Override
  public void close() {}

  private void addByte(int value) {
    digest = (digest ^ (value & 0xff)) * FNV_PRIME;
  }

  private void addInt(int value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      addByte(value >>> shift);
    }
  }

  private void addLong(long value) {
    addInt((int) (value >>> 32));
    addInt((int) value);
  }
}
