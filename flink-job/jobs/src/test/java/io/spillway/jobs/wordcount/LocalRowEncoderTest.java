package io.spillway.jobs.wordcount;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class LocalRowEncoderTest {
  private final LocalRowEncoder encoder = new LocalRowEncoder();

  @Test
  void writesColumnsInTheOrderOfTheContract() throws Exception {
    assertThat(encode(new LocalRow(1_767_225_600_000L, 3, 5, "be"), new LocalRow(-1_000, 2, 0, "")))
        .isEqualTo("1767225600000\t3\t0\t5\tbe\n-1000\t2\t0\t0\t\n");
  }

  @Test
  void escapesWhatWouldBreakALine() throws Exception {
    assertThat(encode(new LocalRow(0, 1, 1, "a\\b\tc\nd\re\\n")))
        .isEqualTo("0\t1\t0\t1\ta\\\\b\\tc\\nd\\re\\\\n\n");
  }

  @Test
  void writesUtf8() throws Exception {
    assertThat(encode(new LocalRow(0, 1, 1, "\u00e4\ud83d\ude00")))
        .isEqualTo("0\t1\t0\t1\t\u00e4\ud83d\ude00\n");
  }

  private String encode(LocalRow... rows) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (LocalRow row : rows) {
      encoder.encode(row, out);
    }
    return out.toString(StandardCharsets.UTF_8);
  }
}
