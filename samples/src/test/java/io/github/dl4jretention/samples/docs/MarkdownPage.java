package io.github.dl4jretention.samples.docs;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** A page of README or docs: its blocks of code, its commands, its headings and its links. */
record MarkdownPage(Path file, List<String> lines) {

    static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    private static final Pattern LINK = Pattern.compile("\\]\\(([^)\\s]*)\\)");

    /** README, its neighbours and everything in docs. */
    static List<MarkdownPage> all() throws IOException {
        try (Stream<Path> top = Files.list(ROOT);
                Stream<Path> docs = Files.list(ROOT.resolve("docs"))) {
            return Stream.concat(top.sorted(), docs.sorted())
                    .filter(file -> file.toString().endsWith(".md"))
                    .map(MarkdownPage::read)
                    .toList();
        }
    }

    static MarkdownPage read(Path file) {
        try {
            return new MarkdownPage(file, Files.readAllLines(file));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The fenced blocks of one language. */
    List<String> blocks(String language) {
        List<String> blocks = new ArrayList<>();
        StringBuilder block = null;
        for (String line : lines) {
            if (block == null && line.equals("```" + language)) {
                block = new StringBuilder();
            } else if (block != null && line.equals("```")) {
                blocks.add(block.toString());
                block = null;
            } else if (block != null) {
                block.append(line).append('\n');
            }
        }
        return blocks;
    }

    /** Maven commands, set apart by four spaces or within a line. */
    List<String> commands() {
        List<String> commands = new ArrayList<>();
        for (String line : prose()) {
            Matcher inline = Pattern.compile("`(mvn [^`]*)`").matcher(line);
            while (inline.find()) {
                commands.add(inline.group(1));
            }
            if (line.matches("    ([A-Z_]+=\\S+ )*mvn .*")) {
                commands.add(line.strip());
            }
        }
        return commands;
    }

    List<String> links() {
        List<String> links = new ArrayList<>();
        for (String line : prose()) {
            Matcher matcher = LINK.matcher(line.replaceAll("`[^`]*`", "code"));
            while (matcher.find()) {
                links.add(matcher.group(1));
            }
        }
        return links;
    }

    /** The names by which code-hosting sites link to headings. */
    List<String> anchors() {
        return prose().stream()
                .filter(line -> line.matches("#+ .*"))
                .map(line -> line.replaceFirst("#+ ", "")
                        .toLowerCase(Locale.ROOT)
                        .replaceAll("[^\\p{L}\\p{N} _-]", "")
                        .replace(' ', '-'))
                .toList();
    }

    private List<String> prose() {
        List<String> prose = new ArrayList<>();
        boolean code = false;
        for (String line : lines) {
            if (line.startsWith("```")) {
                code = !code;
            } else if (!code) {
                prose.add(line);
            }
        }
        return prose;
    }
}
