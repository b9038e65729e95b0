package io.spillway.jobs.wordcount;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.serialization.Encoder;

/**
 * Writes the text lines of {@code local/}, see <i>Local rows</i> in {@code proto/README.md}: window
 * start, records, malformed, count and key, split by tabs.
 */
final class LocalRowEncoder implements Encoder<LocalRow> {
  private static final long serialVersionUID = 1L;

  /** No record is malformed to wordcount. */
  private static final char MALFORMED = '0';

  private transient StringBuilder line;

  @Override
  public void encode(LocalRow row, OutputStream out) throws IOException {
    if (line == null) {
      line = new StringBuilder();
    }
    line.setLength(0);
    line.append(row.windowStartMs).append('\t');
    line.append(row.records).append('\t').append(MALFORMED).append('\t');
    line.append(row.count).append('\t');
    appendEscaped(row.word, line);
    out.write(line.append('\n').toString().getBytes(StandardCharsets.UTF_8));
  }

  /** As in PostgreSQL's COPY text format. */
  static void appendEscaped(String text, StringBuilder to) {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '\\' -> to.append("\\\\");
        case '\t' -> to.append("\\t");
        case '\n' -> to.append("\\n");
        case '\r' -> to.append("\\r");
        default -> to.append(c);
      }
    }
  }
}
