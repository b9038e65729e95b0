package io.spillway.jobs;

/**
 * What the user gave cannot be run. The message is one line that says what is wrong and what to do;
 * the exit code is one of sysexits.
 */
public final class InvalidInputException extends Exception {
  /** The command line is wrong. */
  public static final int USAGE = 64;

  /** An input's content is wrong. */
  public static final int DATA = 65;

  /** The output cannot be written. */
  public static final int CANNOT_CREATE = 73;

  /** An option is out of its bounds. */
  public static final int CONFIG = 78;

  /** An input does not exist or cannot be read. */
  public static final int NO_INPUT = 66;

  private static final long serialVersionUID = 1L;

  private final int exitCode;

  /**
   * @param exitCode one of the constants above
   * @param message what is wrong and what to do, one line
   */
  public InvalidInputException(int exitCode, String message) {
    super(message);
    this.exitCode = exitCode;
  }

  /** What a process that refuses this input exits with, 64 to 78. */
  public int exitCode() {
    return exitCode;
  }
}
