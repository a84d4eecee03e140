package io.github.dl4jretention.samples;

import java.nio.file.FileSystemException;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** Errors of a program as one line: exit code 2 for wrong arguments, 1 for what fails later. */
final class Errors {

    private Errors() {}

    static CommandLine asLines(CommandLine line) {
        return line.setParameterExceptionHandler((e, args) -> fail(e, CommandLine.ExitCode.USAGE))
                .setExecutionExceptionHandler((e, command, result) -> fail(e, CommandLine.ExitCode.SOFTWARE));
    }

    /** Refuses an option's value, with a message that names the option. */
    static void require(CommandSpec spec, boolean condition, String message) {
        if (!condition) {
            throw new ParameterException(spec.commandLine(), message);
        }
    }

    private static int fail(Exception e, int code) {
        System.err.println("error: " + message(e));
        return code;
    }

    private static String message(Exception e) {
        if (e.getMessage() == null || e instanceof FileSystemException file && file.getReason() == null) {
            return e.toString();
        }
        return e.getMessage().lines().findFirst().orElse("");
    }
}
