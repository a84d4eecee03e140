package io.github.dl4jretention.samples.docs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Names of classes over all modules: a name in a message, a log or a page means one class. */
class NamesTest {

    @Test
    void no_two_classes_share_a_simple_name() throws IOException {
        Map<String, List<Path>> files;
        try (Stream<Path> all = Files.walk(MarkdownPage.ROOT)) {
            files = all.filter(file -> file.toString().endsWith(".java"))
                    .map(MarkdownPage.ROOT::relativize)
                    .filter(file ->
                            file.toString().contains("src") && !file.toString().contains("target"))
                    .filter(file -> !file.endsWith("package-info.java"))
                    .collect(Collectors.groupingBy(
                            file -> file.getFileName().toString(), TreeMap::new, Collectors.toList()));
        }
        assertTrue(files.size() > 300, "classes: " + files.size());
        files.values().removeIf(same -> same.size() == 1);
        assertEquals(Map.of(), files);
    }
}
