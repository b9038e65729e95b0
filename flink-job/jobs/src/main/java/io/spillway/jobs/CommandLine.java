package io.spillway.jobs;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** Options as {@code --name value}, flags as {@code --name}, properties as {@code -Dkey=value}. */
final class CommandLine {
  private final Map<String, String> options = new HashMap<>();
  private final Map<String, String> properties = new LinkedHashMap<>();

  /**
   * Takes the arguments apart.
   *
   * @param names options that take a value, without the dashes
   * @param flags options that take none
   * @throws InvalidInputException if one is unknown, incomplete, or given twice
   */
  CommandLine(String[] args, Set<String> names, Set<String> flags) throws InvalidInputException {
    for (int i = 0; i < args.length; i++) {
      String argument = args[i];
      if (argument.startsWith("-D")) {
        property(argument.substring(2));
        continue;
      }
      String name = argument.startsWith("--") ? argument.substring(2) : "";
      if (!names.contains(name) && !flags.contains(name)) {
        throw usage("unknown argument '" + argument + "'");
      }
      if (names.contains(name) && i + 1 == args.length) {
        throw usage(argument + " needs a value");
      }
      if (options.put(name, names.contains(name) ? args[++i] : "") != null) {
        throw usage(argument + " is given twice");
      }
    }
  }

  private void property(String text) throws InvalidInputException {
    int equals = text.indexOf('=');
    if (equals < 1) {
      throw usage("'-D" + text + "' is not -Dkey=value");
    }
    properties.put(text.substring(0, equals), text.substring(equals + 1));
  }

  /** The value of an option, or a default. */
  String get(String name, String otherwise) {
    return options.getOrDefault(name, otherwise);
  }

  /** The value of an option that must be there. */
  String require(String name) throws InvalidInputException {
    String value = options.get(name);
    if (value == null || value.isEmpty()) {
      throw usage("--" + name + " is missing");
    }
    return value;
  }

  /** Whether a flag or an option was given. */
  boolean has(String name) {
    return options.containsKey(name);
  }

  /** What was given by {@code -D}. */
  Map<String, String> properties() {
    return properties;
  }

  static InvalidInputException usage(String message) {
    return new InvalidInputException(InvalidInputException.USAGE, message);
  }
}
