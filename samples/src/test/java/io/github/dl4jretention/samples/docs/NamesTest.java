package io.github.dl4jretention.samples.docs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Names of classes over all modules: a name in a message, a log or a page means one class. */
class NamesTest {

    private static final Pattern CLASS_NAME = Pattern.compile("`([A-Z]\\w+)`");

    /** Of Java's own. */
    private static final Set<String> OTHERS = Set.of("NoClassDefFoundError");

    /** The source files of all modules by name. */
    private static Map<String, List<Path>> files() throws IOException {
        try (Stream<Path> all = Files.walk(MarkdownPage.ROOT)) {
            return all.filter(file -> file.toString().endsWith(".java"))
                    .map(MarkdownPage.ROOT::relativize)
                    .filter(file ->
                            file.toString().contains("src") && !file.toString().contains("target"))
                    .filter(file -> !file.endsWith("package-info.java"))
                    .collect(Collectors.groupingBy(
                            file -> file.getFileName().toString().replace(".java", ""),
                            TreeMap::new,
                            Collectors.toList()));
        }
    }

    @Test
    void no_two_classes_share_a_simple_name() throws IOException {
        Map<String, List<Path>> files = files();
        assertTrue(files.size() > 300, "classes: " + files.size());
        files.values().removeIf(same -> same.size() == 1);
        assertEquals(Map.of(), files);
    }

    @Test
    void the_classes_that_the_architecture_names_exist() throws IOException {
        Set<String> named = new TreeSet<>();
        Matcher matcher = CLASS_NAME.matcher(Files.readString(MarkdownPage.ROOT.resolve("docs/architecture.md")));
        while (matcher.find()) {
            named.add(matcher.group(1));
        }
        assertTrue(named.size() > 30, named.toString());
        named.removeAll(files().keySet());
        named.removeAll(OTHERS);
        assertEquals(Set.of(), named);
    }
}
