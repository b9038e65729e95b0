package io.spillway.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OutputTest {
  @TempDir Path folder;

  private final Configuration flink = new Configuration();

  @ParameterizedTest
  @ValueSource(strings = {"ledger", "local"})
  void refusesAFolderWithWhatAnotherRunHasCommitted(String part) throws Exception {
    commit(part, "part-0-0");

    assertThatThrownBy(this::check)
        .asInstanceOf(InstanceOfAssertFactories.type(InvalidInputException.class))
        .satisfies(e -> assertThat(e.exitCode()).isEqualTo(InvalidInputException.CANNOT_CREATE))
        .satisfies(e -> assertThat(e.getMessage()).contains("words/" + part).doesNotContain("\n"));
  }

  @Test
  void aJobThatWasNeverCheckpointedMayBeSubmittedAnew() throws Exception {
    commit("ledger", ".part-0-0.inprogress");
    commit("local", "_temporary");

    assertThatCode(this::check).doesNotThrowAnyException();
  }

  @Test
  void anotherJobsFolderDoesNotMatter() throws Exception {
    commit("../other/ledger", "part-0-0");

    assertThatCode(this::check).doesNotThrowAnyException();
  }

  @Test
  void aJobThatGoesOnFromACheckpointNeedsWhatIsThere() throws Exception {
    commit("ledger", "part-0-0");
    flink.set(StateRecoveryOptions.SAVEPOINT_PATH, "file:///checkpoints/chk-7");

    assertThatCode(this::check).doesNotThrowAnyException();
  }

  @Test
  void aHighlyAvailableJobManagerMaySubmitAJobAgain() throws Exception {
    commit("ledger", "part-0-0");
    flink.set(HighAvailabilityOptions.HA_MODE, "ZOOKEEPER");

    assertThatCode(this::check).doesNotThrowAnyException();
  }

  private void commit(String part, String file) throws IOException {
    Path path = folder.resolve("words").resolve(part).resolve(file).normalize();
    Files.createDirectories(path.getParent());
    Files.writeString(path, "x\n");
  }

  private void check() throws Exception {
    String[] arguments = {
      "--input", "in", "--profile", "1:1s", "--output", folder.toUri().toString(), "--job", "words"
    };
    Output.check(WordCountOptions.parse(arguments), flink);
  }
}
