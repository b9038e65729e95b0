package io.spillway.valve;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import javax.annotation.Nullable;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

/** Checks that a receipt is about the batch that was sent, record for record. */
final class Receipt {

  /**
   * What a check found.
   *
   * @param line the receipt as it goes into the ledger
   * @param misfit why it does not fit; null if it does
   */
  record Check(String line, @Nullable String misfit) {}

  private Receipt() {}

  /** Compares a receipt with what the valve counted itself. */
  static Check check(byte[] body, SealedBatch batch, ValveConfig config) {
    String line;
    try {
      // Strictly, so that the line's bytes in the ledger are the bytes of the body.
      line = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(body)).toString();
    } catch (CharacterCodingException e) {
      return new Check("", "it is not UTF-8");
    }
    if (line.indexOf('\n') >= 0 || line.indexOf('\r') >= 0) {
      return new Check(line, "it has line breaks");
    }
    try {
      return new Check(line, misfit(Json.object(body), batch, config));
    } catch (IOException e) {
      return new Check(line, e.getMessage());
    }
  }

  @Nullable
  private static String misfit(JsonNode receipt, SealedBatch batch, ValveConfig config)
      throws IOException {
    String[][] texts = {
      {"type", "receipt"},
      {"batch", batch.id},
      {"job", config.job()},
      {"workload", config.workload()},
    };
    for (String[] text : texts) {
      JsonNode is = Json.field(receipt, text[0]);
      if (!is.isTextual() || !is.textValue().equals(text[1])) {
        return text[0] + " is " + is + " instead of " + text[1];
      }
    }
    long[][] numbers = {
      {number(receipt, "version"), 1},
      {number(receipt, "window_size_ms"), config.windowSizeMs()},
      {number(receipt, "records"), batch.records},
    };
    for (int i = 0; i < numbers.length; i++) {
      if (numbers[i][0] != numbers[i][1]) {
        return new String[] {"version", "window_size_ms", "records"}[i]
            + " is "
            + numbers[i][0]
            + " instead of "
            + numbers[i][1];
      }
    }
    return windowsMisfit(Json.field(receipt, "windows"), batch.windows);
  }

  @Nullable
  private static String windowsMisfit(JsonNode windows, WindowTally tally) throws IOException {
    if (!windows.isArray() || windows.size() != tally.windows()) {
      return "it has " + windows.size() + " windows instead of " + tally.windows();
    }
    for (int i = 0; i < tally.windows(); i++) {
      JsonNode window = windows.get(i);
      long start = number(window, "start_ms");
      long records = number(window, "records");
      if (start != tally.starts()[i] || records != tally.records()[i]) {
        return "window "
            + start
            + " has "
            + records
            + " records instead of window "
            + tally.starts()[i]
            + " with "
            + tally.records()[i];
      }
    }
    return null;
  }

  private static long number(JsonNode object, String name) throws IOException {
    return Json.integer(object, name, Long.MIN_VALUE, Long.MAX_VALUE);
  }
}
