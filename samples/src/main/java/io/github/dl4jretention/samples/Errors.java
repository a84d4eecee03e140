package io.github.dl4jretention.samples;

import java.nio.file.FileSystemException;
import java.util.function.DoublePredicate;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.MissingParameterException;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.TypeConversionException;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * Errors of a program as one line that names the option and says what's expected: exit code 2 for wrong arguments, 1 for
 * what fails later.
 */
public final class Errors {

    /** As picocli says it: {@code 'x' is not an int}, {@code expected one of [A, B] but was 'C'}. */
    private static final Pattern NOT_A = Pattern.compile("'(.*)' is not (an? .*)");

    private static final Pattern NOT_ONE = Pattern.compile("expected (one of .*) but was '(.*)'");

    private Errors() {}

    /** Lets a program say its errors so. */
    public static CommandLine asLines(CommandLine line) {
        return line.setParameterExceptionHandler((e, args) -> fail(message(e), CommandLine.ExitCode.USAGE))
                .setExecutionExceptionHandler((e, command, result) -> fail(message(e), CommandLine.ExitCode.SOFTWARE));
    }

    /** Refuses an option's value, with a message that names the option. */
    public static void require(CommandSpec spec, boolean condition, String message) {
        if (!condition) {
            throw new ParameterException(spec.commandLine(), message);
        }
    }

    private static int fail(String message, int code) {
        System.err.println("error: " + message);
        return code;
    }

    private static String message(ParameterException e) {
        if (e instanceof UnmatchedArgumentException || e instanceof MissingParameterException) {
            return firstLine(e) + "; --help lists the options";
        }
        if (e.getArgSpec() instanceof OptionSpec option && firstLine(e).startsWith("Invalid value")) {
            String reason = firstLine(e).replaceFirst("^Invalid value.*?\\): |^Invalid value.*?': ", "");
            reason = NOT_A.matcher(reason).replaceFirst("expected $2, got $1");
            return option.longestName() + ": " + NOT_ONE.matcher(reason).replaceFirst("expected $1, got $2");
        }
        return message((Exception) e);
    }

    private static String message(Exception e) {
        if (e.getMessage() == null || e instanceof FileSystemException file && file.getReason() == null) {
            return e.toString();
        }
        return firstLine(e);
    }

    private static String firstLine(Exception e) {
        return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
    }

    private static double number(String value, String expected, DoublePredicate fits) {
        try {
            double number = Double.parseDouble(value);
            if (fits.test(number)) {
                return number;
            }
        } catch (NumberFormatException e) {
            // refused below, as other values are
        }
        throw new TypeConversionException("expected " + expected + ", got " + value);
    }

    /** Of an option that counts something. */
    public static final class Count implements ITypeConverter<Integer> {

        @Override
        public Integer convert(String value) {
            return (int) number(
                    value, "a whole number of at least 1", n -> n >= 1 && n <= Integer.MAX_VALUE && n == Math.rint(n));
        }
    }

    /** Of a rate, or a bound of what can't be 0. */
    static final class AboveZero implements ITypeConverter<Double> {

        @Override
        public Double convert(String value) {
            return number(value, "a finite number above 0", n -> n > 0 && Double.isFinite(n));
        }
    }

    /** Of a coefficient. */
    static final class AtLeastZero implements ITypeConverter<Double> {

        @Override
        public Double convert(String value) {
            return number(value, "a finite number of at least 0", n -> n >= 0 && Double.isFinite(n));
        }
    }
}
