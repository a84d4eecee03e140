package io.github.dl4jretention.docs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * Every message of the library's errors is in docs/troubleshooting.md, in a line that begins with a dash. Lines that
 * begin with an asterisk are left alone: messages that are put together, warnings, what DL4J says.
 */
class TroubleshootingTest {

    private static final String LITERAL = "\"((?:[^\"\\\\\\n]|\\\\.)*)\"";

    /** What an exception's message begins with, a name before it or not. */
    private static final Pattern THROWN =
            Pattern.compile("new \\w*Exception\\(\\s*(?:file,\\s*)?(?:[\\w.]+(?:\\([^()]*\\))?\\s*\\+\\s*)?" + LITERAL);

    private static final Pattern EXPECTED = Pattern.compile("(^|: |\": )expected ");

    private static Set<String> messages() throws IOException {
        Set<String> messages = new TreeSet<>();
        try (Stream<Path> files = Files.walk(Path.of("src/main/java"))) {
            for (Path file :
                    files.filter(f -> f.toString().endsWith(".java")).sorted().toList()) {
                String source = Files.readString(file);
                Matcher literal = Pattern.compile(LITERAL).matcher(source);
                while (literal.find()) {
                    String text = unescaped(literal.group(1));
                    if (EXPECTED.matcher(text).find()) {
                        messages.add(text.strip());
                    }
                }
                Matcher thrown = THROWN.matcher(source);
                while (thrown.find()) {
                    messages.add(unescaped(thrown.group(1)).strip());
                }
            }
        }
        messages.removeIf(message -> message.length() < 4);
        return messages;
    }

    private static String unescaped(String literal) {
        return literal.replace("\\\"", "\"");
    }

    @Test
    void every_message_is_explained() throws IOException {
        Set<String> messages = messages();
        assertTrue(messages.size() > 200, "messages: " + messages.size());
        String page = Files.readString(Path.of("../docs/troubleshooting.md"));
        messages.removeIf(
                message -> page.contains("`" + message + " ...`") || page.contains("`... " + message + " ...`"));
        assertEquals(Set.of(), messages);
    }

    @Test
    void messages_in_the_page_are_those_of_the_sources() throws IOException {
        Set<String> messages = messages();
        Set<String> stale = new TreeSet<>();
        for (String line : Files.readAllLines(Path.of("../docs/troubleshooting.md"))) {
            if (line.startsWith("- `")) {
                String message = line.substring(3, line.length() - 5).replaceFirst("^\\.\\.\\. ", "");
                if (!messages.contains(message)) {
                    stale.add(message);
                }
            }
        }
        assertEquals(Set.of(), stale);
    }
}
