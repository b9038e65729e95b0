package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Batches on the wire and in the state. */
class BatchEncodingTest {

  private static final Path VECTORS = Path.of("..", "..", "proto", "vectors", "batch.json");

  /** What a vector's records become when the valve encodes them, read back by protobuf. */
  @TestFactory
  List<DynamicTest> theSharedVectorsSurviveTheValvesEncoding() throws IOException {
    List<DynamicTest> tests = new ArrayList<>();
    for (JsonNode vector : Json.MAPPER.readTree(Files.readAllBytes(VECTORS))) {
      if (vector.get("valid").booleanValue()) {
        tests.add(DynamicTest.dynamicTest(vector.get("name").textValue(), () -> encodes(vector)));
      }
    }
    assertThat(tests).isNotEmpty();
    return tests;
  }

  private static void encodes(JsonNode vector) throws IOException {
    BatchBuffer buffer = BatchBuffer.unbounded();
    List<DecodedBatch.Item> expected = new ArrayList<>();
    for (JsonNode record : vector.get("records")) {
      byte[] bytes = Base64.getDecoder().decode(record.get("record_base64").textValue());
      long time = record.get("event_time_ms").longValue();
      assertThat(buffer.append(bytes, RecordCodec.bytes(), time)).isTrue();
      expected.add(new DecodedBatch.Item(time, new String(bytes, StandardCharsets.ISO_8859_1)));
    }
    byte[] message = buffer.encode(vector.get("id").textValue());

    DecodedBatch decoded = DecodedBatch.of(message);
    assertThat(decoded.id()).isEqualTo(vector.get("id").textValue());
    assertThat(decoded.items()).isEqualTo(expected);
    assertThat(itemsOf(new BatchReader(message))).isEqualTo(expected);
  }

  /** The plainest vector is written by another encoder: ours writes the same bytes. */
  @Test
  void theEncodingIsTheCanonicalOne() throws IOException {
    for (JsonNode vector : Json.MAPPER.readTree(Files.readAllBytes(VECTORS))) {
      if (vector.get("name").textValue().equals("three hundred records over three windows")) {
        BatchBuffer buffer = new BatchBuffer(TestConfig.config());
        for (JsonNode record : vector.get("records")) {
          buffer.append(
              Base64.getDecoder().decode(record.get("record_base64").textValue()),
              RecordCodec.bytes(),
              record.get("event_time_ms").longValue());
        }
        assertThat(Base64.getEncoder().encodeToString(buffer.encode(vector.get("id").textValue())))
            .isEqualTo(vector.get("batch_base64").textValue());
        return;
      }
    }
    throw new AssertionError("The vector is gone");
  }

  @Test
  void whatIsLeftOfABatchIsABatch() throws IOException {
    BatchBuffer buffer = new BatchBuffer(TestConfig.config());
    for (int i = 0; i < 10; i++) {
      buffer.append(new byte[i], RecordCodec.bytes(), 100 - i);
    }
    BatchReader reader = new BatchReader(buffer.encode("x"));
    for (int i = 0; i < 7; i++) {
      reader.next();
    }
    BatchReader rest = new BatchReader(reader.rest());

    assertThat(itemsOf(rest)).extracting(DecodedBatch.Item::timeMs).containsExactly(93L, 92L, 91L);
    assertThat(reader.remaining()).isEqualTo(3);
  }

  @Test
  void anyCutOffMessageIsRefused() throws IOException {
    BatchBuffer buffer = new BatchBuffer(TestConfig.config());
    buffer.append(
        "some record".getBytes(StandardCharsets.US_ASCII), RecordCodec.bytes(), 1_767_225_600_000L);
    buffer.append(new byte[200], RecordCodec.bytes(), 1_767_225_601_000L);
    byte[] message = buffer.encode("9f3a6c1e2b7d4f08-0-42");
    assertThat(new BatchReader(message).remaining()).isEqualTo(2);

    for (int length = 0; length < message.length; length++) {
      byte[] cut = Arrays.copyOf(message, length);
      assertThatThrownBy(() -> new BatchReader(cut)).isInstanceOf(IOException.class);
    }
  }

  @Test
  void columnsThatDoNotFitTogetherAreRefused() throws IOException {
    int checked = 0;
    for (JsonNode vector : Json.MAPPER.readTree(Files.readAllBytes(VECTORS))) {
      if (!vector.get("valid").booleanValue()
          && vector
              .get("error")
              .textValue()
              .matches("column-mismatch|length-mismatch|no-records")) {
        byte[] message = Base64.getDecoder().decode(vector.get("batch_base64").textValue());
        assertThatThrownBy(() -> new BatchReader(message))
            .as(vector.get("name").textValue())
            .isInstanceOf(IOException.class);
        checked++;
      }
    }
    assertThat(checked).isGreaterThan(5);
  }

  private static List<DecodedBatch.Item> itemsOf(BatchReader reader) {
    List<DecodedBatch.Item> items = new ArrayList<>();
    while (reader.next()) {
      items.add(
          new DecodedBatch.Item(
              reader.eventTimeMs(),
              new String(
                  reader.array(),
                  reader.recordOffset(),
                  reader.recordLength(),
                  StandardCharsets.ISO_8859_1)));
    }
    return items;
  }
}
