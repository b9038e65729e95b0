package io.spillway.valve;

import java.io.IOException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.DeserializationFeature;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;

/** Reading JSON from the sidecar: unknown fields are ignored, missing ones are errors. */
final class Json {

  static final ObjectMapper MAPPER =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private Json() {}

  /**
   * Reads an object.
   *
   * @throws IOException if the bytes are not one JSON object
   */
  static JsonNode object(byte[] json) throws IOException {
    JsonNode node = MAPPER.readTree(json);
    if (node == null || !node.isObject()) {
      throw new IOException("not a JSON object");
    }
    return node;
  }

  /**
   * A field that must be there.
   *
   * @throws IOException if it is not
   */
  static JsonNode field(JsonNode object, String name) throws IOException {
    JsonNode field = object.get(name);
    if (field == null) {
      throw new IOException(name + " is missing");
    }
    return field;
  }

  /**
   * An integer within bounds.
   *
   * @throws IOException if it is missing, no integer, or out of bounds
   */
  static long integer(JsonNode object, String name, long least, long most) throws IOException {
    JsonNode field = field(object, name);
    if (!field.isIntegralNumber()
        || !field.canConvertToLong()
        || field.longValue() < least
        || field.longValue() > most) {
      throw new IOException(name + " is " + field);
    }
    return field.longValue();
  }
}
