package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.reflect.Field;
import java.util.Arrays;
import java.util.Map;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Options are checked once, with an error that says what to do. */
class ValveConfigTest {

  private static ValveConfig with(String key, String value) {
    Configuration options = Configuration.fromMap(TestConfig.options().toMap());
    options.addAll(Configuration.fromMap(Map.of("spillway.valve." + key, value)));
    return ValveConfig.of("valve", options);
  }

  @Test
  void optionsAreReadAsFlinkWritesThem() {
    assertThat(with("batch.linger", "7 ms").linger().toMillis()).isEqualTo(7);
    assertThat(with("batch.max-size", "2 mb").maxBatchBytes()).isEqualTo(2 << 20);
    assertThat(with("sidecar.url", "http://localhost:7077/").sidecar())
        .hasToString("http://localhost:7077");
    assertThat(with("latency.event-time-offset", "-5").latencyOffsetMs()).isEqualTo(-5);
  }

  @ParameterizedTest
  @CsvSource({
    "job, ..",
    "job, a/b",
    "job, ''",
    "workload, ü",
    "window.size, 0 ms",
    "window.size, 1 foo",
    "batch.max-size, 1 kb",
    "batch.max-size, 17 mb",
    "batch.max-records, 0",
    "batch.max-records, many",
    "batch.linger, 0 ms",
    "batch.deadline, 11 min",
    "report.interval, 9 ms",
    "sidecar.url, localhost:7077",
    "sidecar.url, ftp://localhost",
    "sidecar.url, 'http://x y'",
  })
  void aBadValueIsNamedWithItsOption(String key, String value) {
    assertThatThrownBy(() -> with(key, value))
        .isInstanceOf(IllegalConfigurationException.class)
        .hasMessageContaining("spillway.valve." + key)
        .hasMessageContaining(value);
  }

  @Test
  void aBadTokenIsNotShown() {
    assertThatThrownBy(() -> with("sidecar.token", "se cret"))
        .isInstanceOf(IllegalConfigurationException.class)
        .hasMessageContaining("sidecar.token")
        .hasMessageNotContaining("cret");
    assertThat(with("sidecar.token", "secret").toString()).doesNotContain("secret");
  }

  @ParameterizedTest
  @CsvSource({"http://user:secret@localhost:7077", "http://:secret@", "user:secret@ x"})
  void aUrlWithAPasswordIsRefusedWithoutShowingIt(String url) {
    assertThatThrownBy(() -> with("sidecar.url", url))
        .isInstanceOf(IllegalConfigurationException.class)
        .hasMessageContaining("sidecar.url")
        .hasMessageContaining("sidecar.token")
        .hasMessageNotContaining("secret");
  }

  @Test
  void aMissingNameSaysWhichOptionToSet() {
    Configuration options = TestConfig.options();
    options.removeConfig(ValveOptions.JOB);
    assertThatThrownBy(() -> ValveConfig.of("valve", options))
        .isInstanceOf(IllegalConfigurationException.class)
        .hasMessageContaining("spillway.valve.job");
  }

  @Test
  void theKeysAreThoseOfAllOptions() {
    assertThat(ValveOptions.keys())
        .containsExactlyInAnyOrderElementsOf(
            Arrays.stream(ValveOptions.class.getFields()).map(ValveConfigTest::key).toList());
  }

  private static String key(Field option) {
    try {
      return ((ConfigOption<?>) option.get(null)).key();
    } catch (IllegalAccessException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void aBadValveNameIsRefused() {
    assertThatThrownBy(() -> ValveConfig.of("a/b", TestConfig.options()))
        .isInstanceOf(IllegalConfigurationException.class);
  }
}
