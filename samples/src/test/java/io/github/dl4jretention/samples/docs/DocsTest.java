package io.github.dl4jretention.samples.docs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Method;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** README and docs against the sources: code, commands, links. */
class DocsTest {

    private static final Pattern SNIPPET = Pattern.compile("// snippet\\n(.*?)// end\\n", Pattern.DOTALL);

    private static String withoutSpace(String code) {
        return code.replaceAll("\\s+", "");
    }

    /** What stands between the marks in test classes, whatever module they are in, and in the samples. */
    private static Set<String> snippets() throws IOException {
        Set<String> snippets = new TreeSet<>();
        for (Path file : sources()) {
            if (file.toString().endsWith("SnippetsTest.java") || file.endsWith("SameDiffLanguageModel.java")) {
                Matcher matcher = SNIPPET.matcher(Files.readString(file));
                while (matcher.find()) {
                    snippets.add(withoutSpace(matcher.group(1)));
                }
            }
        }
        return snippets;
    }

    /** All source files of all modules. */
    private static List<Path> sources() throws IOException {
        List<Path> sources = new ArrayList<>();
        try (Stream<Path> modules = Files.list(MarkdownPage.ROOT.resolve("dl4j-retention"))) {
            for (Path module : Stream.concat(modules, Stream.of(MarkdownPage.ROOT.resolve("samples")))
                    .map(module -> module.resolve("src"))
                    .filter(Files::isDirectory)
                    .toList()) {
                try (Stream<Path> files = Files.walk(module)) {
                    files.filter(file -> file.toString().endsWith(".java")).forEach(sources::add);
                }
            }
        }
        return sources;
    }

    @Test
    void every_block_of_java_is_part_of_a_test_that_runs() throws IOException {
        Set<String> snippets = snippets();
        Set<String> unused = new TreeSet<>(snippets);
        List<String> unknown = new ArrayList<>();
        for (MarkdownPage page : MarkdownPage.all()) {
            for (String block : page.blocks("java")) {
                if (!snippets.contains(withoutSpace(block))) {
                    unknown.add(page.file().getFileName() + ":\n" + block);
                }
                unused.remove(withoutSpace(block));
            }
        }
        assertEquals(List.of(), unknown);
        assertEquals(Set.of(), unused);
    }

    @Test
    void every_command_names_a_program_and_options_that_exist() throws Exception {
        int programs = 0;
        for (MarkdownPage page : MarkdownPage.all()) {
            for (String command : page.commands()) {
                if (command.contains("-Prun")) {
                    check(command);
                    programs++;
                }
                Matcher module = Pattern.compile("-pl (\\S+)").matcher(command);
                // Of a test's methods, as in 'SomeTest#some*', the class.
                String test = option(command, "test").replace("'", "").replaceAll("#.*", "");
                boolean found = test.isEmpty();
                for (String in : (module.find() ? module.group(1) : ".").split(",")) {
                    assertTrue(Files.exists(MarkdownPage.ROOT.resolve(in).resolve("pom.xml")), command);
                    found = found || exists(in, test);
                }
                assertTrue(found, command);
            }
        }
        assertTrue(programs > 10, "programs: " + programs);
    }

    private static void check(String command) throws Exception {
        String main = option(command, "main");
        Class<?> program = Class.forName(main.isEmpty() ? "io.github.dl4jretention.samples.Quickstart" : main);
        program.getMethod("main", String[].class);
        if (main.startsWith("org.openjdk.jmh")) {
            String name = option(command, "args").split(" ")[0];
            assertTrue(exists("samples", name), command);
            return;
        }
        String args = option(command, "args").replace("SEED", "1");
        if (program.isAnnotationPresent(Command.class) && !args.isEmpty()) {
            commandLine(program).parseArgs(args.split(" "));
        }
    }

    private static CommandLine commandLine(Class<?> program) throws ReflectiveOperationException {
        Method own = Arrays.stream(program.getDeclaredMethods())
                .filter(method -> method.getName().equals("commandLine"))
                .findFirst()
                .orElse(null);
        if (own != null) {
            own.setAccessible(true);
            return (CommandLine) own.invoke(null);
        }
        Constructor<?> constructor = program.getDeclaredConstructor();
        constructor.setAccessible(true);
        return new CommandLine(constructor.newInstance());
    }

    /** The value of {@code -Dname=value} or {@code -Dname="value"}, empty without one. */
    private static String option(String command, String name) {
        Matcher matcher =
                Pattern.compile("-D" + name + "=(?:\"([^\"]*)\"|(\\S+))").matcher(command);
        if (!matcher.find()) {
            return "";
        }
        return matcher.group(1) == null ? matcher.group(2) : matcher.group(1);
    }

    private static boolean exists(String folder, String type) throws IOException {
        try (Stream<Path> files = Files.walk(MarkdownPage.ROOT.resolve(folder))) {
            return files.anyMatch(file -> file.endsWith(type + ".java"));
        }
    }

    @Test
    void no_link_is_broken() throws IOException {
        List<String> broken = new ArrayList<>();
        int checked = 0;
        for (MarkdownPage page : MarkdownPage.all()) {
            for (String link : page.links()) {
                checked++;
                if (!leadsSomewhere(page, link)) {
                    broken.add(page.file().getFileName() + ": " + link);
                }
            }
        }
        assertEquals(List.of(), broken);
        assertTrue(checked > 20, "links: " + checked);
    }

    private static boolean leadsSomewhere(MarkdownPage page, String link) {
        URI uri = URI.create(link);
        if (uri.getScheme() != null) {
            return Set.of("https", "http").contains(uri.getScheme()) && uri.getHost() != null;
        }
        Path file = uri.getPath().isEmpty()
                ? page.file()
                : page.file().resolveSibling(uri.getPath()).normalize();
        return Files.exists(file)
                && (uri.getFragment() == null
                        || MarkdownPage.read(file).anchors().contains(uri.getFragment()));
    }

    @Test
    void the_readme_is_short() {
        int lines = MarkdownPage.read(MarkdownPage.ROOT.resolve("README.md"))
                .lines()
                .size();
        assertTrue(lines <= 120, "lines: " + lines);
    }

    @Test
    void every_page_leads_to_the_glossary() throws IOException {
        for (MarkdownPage page : MarkdownPage.all()) {
            boolean docs = page.file().startsWith(MarkdownPage.ROOT.resolve("docs"))
                    && !page.file().endsWith("glossary.md");
            assertTrue(!docs || page.links().contains("glossary.md"), page.file() + ": no link to glossary.md");
        }
    }

    @Test
    void the_glossary_has_ten_terms() {
        MarkdownPage glossary = MarkdownPage.read(MarkdownPage.ROOT.resolve("docs/glossary.md"));
        assertEquals(1 + 10, glossary.anchors().size());
    }

    @Test
    void links_to_nothing_are_noticed() {
        MarkdownPage page = MarkdownPage.read(MarkdownPage.ROOT.resolve("README.md"));
        assertTrue(leadsSomewhere(page, "docs/method.md"));
        assertTrue(leadsSomewhere(page, "#use-it"));
        assertFalse(leadsSomewhere(page, "docs/none.md"));
        assertFalse(leadsSomewhere(page, "#nothing"));
        assertFalse(leadsSomewhere(page, "docs/method.md#nothing"));
    }
}
