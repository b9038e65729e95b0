package io.spillway.jobs.wordcount;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.stream.Stream;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class WordsTest {
  private static final File VECTORS = Path.of("../../proto/vectors/wordcount.json").toFile();

  @TestFactory
  Stream<DynamicTest> agreesWithTheVectorsThatRustSharesToo() throws Exception {
    List<DynamicTest> tests = new ArrayList<>();
    for (JsonNode vector : new ObjectMapper().readTree(VECTORS)) {
      byte[] record = Base64.getDecoder().decode(vector.get("record_base64").asText());
      List<String> expected = new ArrayList<>();
      vector.get("words").forEach(word -> expected.add(word.asText()));
      tests.add(
          DynamicTest.dynamicTest(
              vector.get("name").asText(), () -> assertThat(words(record)).isEqualTo(expected)));
    }
    assertThat(tests).isNotEmpty();
    return tests.stream();
  }

  @Test
  void splitsAnyBytesAsTheDefinitionDoes() {
    Random random = new Random(3);
    for (int run = 0; run < 20_000; run++) {
      byte[] record = random.nextBoolean() ? randomBytes(random) : randomText(random);
      assertThat(words(record)).isEqualTo(byDefinition(record));
    }
  }

  @Test
  void splitsEveryCharacterAsTheDefinitionDoes() {
    for (int character = 0; character <= Character.MAX_CODE_POINT; character++) {
      byte[] record = ("a" + Character.toString(character) + "Z").getBytes(StandardCharsets.UTF_8);
      assertThat(words(record)).as("U+%04X", character).isEqualTo(byDefinition(record));
    }
  }

  private static List<String> byDefinition(byte[] record) {
    String text = new String(record, StandardCharsets.UTF_8).toLowerCase(Locale.ROOT);
    return Stream.of(text.split("[^A-Za-z0-9_]+")).filter(word -> !word.isEmpty()).toList();
  }

  private static List<String> words(byte[] record) {
    List<String> words = new ArrayList<>();
    assertThat(Words.forEach(record, words::add)).isEqualTo(words.size());
    return words;
  }

  private static byte[] randomBytes(Random random) {
    byte[] bytes = new byte[random.nextInt(40)];
    random.nextBytes(bytes);
    return bytes;
  }

  private static byte[] randomText(Random random) {
    String likely = "aZ9_ \t\r.,-\u212a\u0130\u00df\u03a3\ufffd\u0000";
    StringBuilder text = new StringBuilder();
    for (int i = random.nextInt(40); i > 0; i--) {
      text.append(likely.charAt(random.nextInt(likely.length())));
    }
    return text.toString().getBytes(StandardCharsets.UTF_8);
  }
}
