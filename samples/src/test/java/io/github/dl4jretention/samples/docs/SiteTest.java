package io.github.dl4jretention.samples.docs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/** The links of the built site, API pages too, lead to files and anchors that are there. */
@EnabledIfSystemProperty(named = "site", matches = ".+")
class SiteTest {

    private static final Pattern LINK = Pattern.compile("<(?:a|img|link|script)\\s[^>]*?(?:href|src)=\"([^\"]*)\"");
    private static final Pattern ANCHOR = Pattern.compile("\\s(?:id|name)=\"([^\"]*)\"");

    private final Map<Path, Set<String>> anchors = new HashMap<>();

    @Test
    void no_link_is_broken() throws IOException {
        Path site = Path.of(System.getProperty("site"));
        Set<String> broken = new TreeSet<>();
        int checked = 0;
        try (Stream<Path> files = Files.walk(site)) {
            for (Path page : files.filter(f -> f.toString().endsWith(".html")).toList()) {
                Matcher link = LINK.matcher(Files.readString(page));
                while (link.find()) {
                    checked++;
                    if (!leadsSomewhere(page, link.group(1).replace("&amp;", "&"))) {
                        broken.add(site.relativize(page) + ": " + link.group(1));
                    }
                }
            }
        }
        assertEquals(Set.of(), broken);
        assertTrue(checked > 1000, "links: " + checked);
        for (String page : List.of(
                "index", "guide", "troubleshooting", "migration", "glossary", "architecture", "apidocs/index")) {
            assertTrue(Files.exists(site.resolve(page + ".html")), page);
        }
    }

    private boolean leadsSomewhere(Path page, String link) throws IOException {
        // The list of contents of Java 17's page of constants names an anchor that javadoc does not write.
        boolean constants = page.endsWith("constant-values.html") && link.equals("#io.github");
        if (constants || link.startsWith("javascript:") || link.equals("#")) {
            return true;
        }
        URI uri = URI.create(link);
        if (uri.getScheme() != null || uri.getHost() != null) {
            return true;
        }
        Path file = uri.getPath().isEmpty()
                ? page
                : page.resolveSibling(uri.getPath()).normalize();
        return Files.exists(file)
                && (uri.getFragment() == null
                        || uri.getFragment().isEmpty()
                        || !file.toString().endsWith(".html")
                        || anchors(file).contains(uri.getFragment()));
    }

    private Set<String> anchors(Path file) throws IOException {
        if (!anchors.containsKey(file)) {
            Set<String> found = new TreeSet<>();
            Matcher anchor = ANCHOR.matcher(Files.readString(file));
            while (anchor.find()) {
                found.add(anchor.group(1)
                        .replace("&lt;", "<")
                        .replace("&gt;", ">")
                        .replace("&amp;", "&"));
            }
            anchors.put(file, found);
        }
        return anchors.get(file);
    }
}
