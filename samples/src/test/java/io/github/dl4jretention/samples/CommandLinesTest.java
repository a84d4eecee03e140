package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

/** What all programs have in common. */
class CommandLinesTest {

    private record Ended(int code, String output, String error) {}

    /** The command lines of all programs that have one. */
    static List<CommandLine> programs() throws IOException {
        try (Stream<Path> classes = Files.list(Path.of("target/classes/io/github/dl4jretention/samples"))) {
            return classes.map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(".class") && !name.contains("$"))
                    .sorted()
                    .map(name -> name.replace(".class", ""))
                    .map(CommandLinesTest::type)
                    .filter(type -> type.isAnnotationPresent(CommandLine.Command.class))
                    .map(CommandLinesTest::commandLine)
                    .toList();
        }
    }

    private static Class<?> type(String name) {
        try {
            return Class.forName("io.github.dl4jretention.samples." + name);
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(e);
        }
    }

    private static CommandLine commandLine(Class<?> program) {
        try {
            Method own = program.getDeclaredMethod("commandLine");
            own.setAccessible(true);
            return (CommandLine) own.invoke(null);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(program + " has no commandLine()", e);
        }
    }

    private static Ended run(CommandLine line, String... args) {
        StringWriter output = new StringWriter();
        ByteArrayOutputStream error = new ByteArrayOutputStream();
        PrintStream screen = System.err;
        System.setErr(new PrintStream(error, true, StandardCharsets.UTF_8));
        try {
            int code = line.setOut(new PrintWriter(output)).execute(args);
            return new Ended(code, output.toString(), error.toString(StandardCharsets.UTF_8));
        } finally {
            System.setErr(screen);
        }
    }

    @Test
    void there_are_programs() throws IOException {
        Set<String> names = programs().stream().map(CommandLine::getCommandName).collect(Collectors.toSet());
        assertTrue(names.containsAll(Set.of("quickstart", "sweep", "comparison", "pretrain")), names.toString());
    }

    @ParameterizedTest
    @MethodSource("programs")
    void help_lists_every_option_with_what_it_does(CommandLine line) {
        Ended help = run(line, "--help");
        assertEquals(0, help.code(), help.error());
        for (OptionSpec option : line.getCommandSpec().options()) {
            if (!option.hidden()) {
                assertTrue(help.output().contains(option.longestName()), help.output());
                assertTrue(option.description().length > 0, option.longestName());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("programs")
    void a_wrong_value_ends_in_one_line_that_names_the_option_and_says_what_is_expected(CommandLine line) {
        for (OptionSpec option : line.getCommandSpec().options()) {
            Class<?> type = option.auxiliaryTypes()[0];
            boolean parsed =
                    type.isPrimitive() && type != boolean.class || type.isEnum() || Number.class.isAssignableFrom(type);
            if (parsed) {
                Ended ended = run(line, option.longestName(), "x");
                assertEquals(2, ended.code());
                assertTrue(
                        ended.error().matches("error: " + option.longestName() + ": expected .*, got x\\R"),
                        ended.error());
            }
        }
        List<String> args = new ArrayList<>(List.of("--nothing"));
        line.getCommandSpec().options().stream()
                .filter(OptionSpec::required)
                .forEach(option -> args.addAll(List.of(option.longestName(), "x")));
        Ended unknown = run(line, args.toArray(String[]::new));
        assertEquals(2, unknown.code());
        assertTrue(unknown.error().matches("error: Unknown option: '--nothing'; --help lists .*\\R"), unknown.error());
        if (args.size() > 1) {
            Ended missing = run(line);
            assertTrue(
                    missing.error().matches("error: Missing required option.*; --help lists .*\\R"), missing.error());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "--steps, 0, a whole number of at least 1",
        "--steps, 1.5, a whole number of at least 1",
        "--steps, 3000000000, a whole number of at least 1",
        "--learning-rate, 0, a finite number above 0",
        "--learning-rate, Infinity, a finite number above 0",
        "--coefficients, -1, a finite number of at least 0",
        "--coefficients, NaN, a finite number of at least 0"
    })
    void a_number_that_is_out_of_range_is_refused(String option, String value, String expected) {
        Ended ended = run(Quickstart.commandLine(), option, value);
        assertEquals(
                "error: " + option + ": expected " + expected + ", got " + value,
                ended.error().strip());
    }

    /** As the pictures of docs/results.md are drawn. */
    @Test
    void a_comparison_is_drawn_again_from_its_file(@TempDir Path folder) throws IOException {
        Path csv = Path.of("..", "docs", "comparison.csv");
        Ended ended = run(Comparison.commandLine(), "--redraw", csv.toString(), "--out", folder.toString());
        assertEquals(0, ended.code(), ended.error());
        for (String name : List.of("", "-rates", "-divergence")) {
            for (String target : List.of("kotlin", "scala")) {
                BufferedImage picture = image(folder.resolve("transformer-" + target + name + ".png"));
                assertTrue(picture.getWidth() >= 900 && picture.getHeight() >= 600, name);
            }
        }
        Ended missing = run(Comparison.commandLine(), "--redraw", "none.csv");
        assertEquals(
                "error: --redraw: expected a readable file, got none.csv",
                missing.error().strip());
    }

    private static BufferedImage image(Path file) {
        try {
            return ImageIO.read(file.toFile());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
