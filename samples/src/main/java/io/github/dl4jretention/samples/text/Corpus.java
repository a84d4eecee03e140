package io.github.dl4jretention.samples.text;

import io.github.dl4jretention.samples.lesson.Facts;
import io.github.dl4jretention.samples.lesson.Problem;
import io.github.dl4jretention.samples.lesson.Problems;
import io.github.dl4jretention.samples.lesson.Skills;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * The text of the {@link Domain}s, split by whole source files into parts that share nothing: of every ten files,
 * in the order of their names, six go to {@link Part#PRETRAIN}, two to {@link Part#FINETUNE}, one to
 * {@link Part#VALIDATION} and one to {@link Part#TEST}. Texts that are made from seeds have other seeds or other problems in
 * each part.
 */
public final class Corpus {

    /** What a part of the text is for. */
    public enum Part {
        /** The base models are pretrained on it. */
        PRETRAIN,
        /** The target domain's part is what the models are finetuned on. */
        FINETUNE,
        /** For choices (learning rate, coefficient). */
        VALIDATION,
        /** For reported figures. */
        TEST
    }

    private static final Part[] SPLIT = {
        Part.PRETRAIN, Part.PRETRAIN, Part.FINETUNE, Part.PRETRAIN, Part.VALIDATION,
        Part.PRETRAIN, Part.PRETRAIN, Part.FINETUNE, Part.PRETRAIN, Part.TEST
    };

    /** Of facts and skills; in {@link Part#PRETRAIN} the first of those that a base is pretrained on. */
    private static final int DOCUMENTS = 2000;

    /** Of validation and of test. */
    private static final int HELD_PROBLEMS = 400;

    private final Map<Domain, Map<Part, List<byte[]>>> text;
    private final String sha256;

    private Corpus(Map<Domain, Map<Part, List<byte[]>>> text, String sha256) {
        this.text = text;
        this.sha256 = sha256;
    }

    /**
     * Reads the corpus from the source jars in a folder.
     *
     * @param directory where the build has copied the jars
     * @throws IOException if a jar is missing or unreadable; the message names it and the command that fetches it
     */
    public static Corpus read(Path directory) throws IOException {
        MessageDigest digest = sha256();
        Map<Domain, Map<Part, List<byte[]>>> text = new EnumMap<>(Domain.class);
        for (Domain domain : Domain.values()) {
            Map<Part, List<byte[]>> parts = new EnumMap<>(Part.class);
            for (Part part : Part.values()) {
                parts.put(part, new ArrayList<>());
            }
            int index = 0;
            for (String jar : domain.jars()) {
                for (String file : files(domain, directory.resolve(jar)).values()) {
                    byte[] bytes = file.getBytes(StandardCharsets.UTF_8);
                    if (Domain.PRETRAINED.contains(domain)) {
                        digest.update(bytes);
                    }
                    Objects.requireNonNull(parts.get(SPLIT[index++ % SPLIT.length]))
                            .add(bytes);
                }
            }
            text.put(domain, parts);
        }
        return new Corpus(text, HexFormat.of().formatHex(digest.digest()));
    }

    /**
     * The text of further source jars, which is in no part: to pretrain a larger model.
     *
     * @param jars   folder of source jars of one language
     * @param domain what of them is taken
     * @return the text of each source file, in the order of the jars' names and the files' names
     * @throws IOException if there's no jar, or one can't be read
     */
    public static List<String> more(Path jars, Domain domain) throws IOException {
        List<Path> found;
        try (Stream<Path> all = Files.list(jars)) {
            found = all.filter(file -> file.toString().endsWith(".jar"))
                    .sorted()
                    .toList();
        }
        if (found.isEmpty()) {
            throw new IOException("corpus: expected source jars, got none in " + jars);
        }
        List<String> texts = new ArrayList<>();
        for (Path jar : found) {
            texts.addAll(files(domain, jar).values());
        }
        return texts;
    }

    /** The bytes of one part of one domain (UTF-8). */
    public byte[] text(Domain domain, Part part) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        documents(domain, part).forEach(bytes::writeBytes);
        return bytes.toByteArray();
    }

    /** The source files, or documents that are made, that such a text consists of, in their order (UTF-8). */
    public List<byte[]> documents(Domain domain, Part part) {
        if (domain.jars().isEmpty()) {
            return made(domain, part).stream()
                    .map(document -> document.getBytes(StandardCharsets.UTF_8))
                    .toList();
        }
        return Objects.requireNonNull(Objects.requireNonNull(text.get(domain)).get(part)).stream()
                .map(byte[]::clone)
                .toList();
    }

    private static List<String> made(Domain domain, Part part) {
        return switch (domain) {
            case FACTS -> Facts.read().documents(DOCUMENTS, part.ordinal() + 1L);
            case SKILLS -> Skills.documents(DOCUMENTS, part.ordinal() + 1L);
            default -> problems(domain, part).stream().map(Problem::text).toList();
        };
    }

    /**
     * {@return the problems of a text that consists of them; none of another} Those to learn are what {@code Lessons} writes
     * to learn, and those of the test begin with what its tasks ask.
     */
    public static List<Problem> problems(Domain domain, Part part) {
        return switch (domain) {
            case PROBLEMS -> problems(Problems::words, 2000, part);
            case ELEMENTS -> problems(Problems::elements, 1000, part);
            case INSTRUCTIONS -> problems(Problems::instructions, 2000, part);
            default -> List.of();
        };
    }

    private static List<Problem> problems(Kind kind, int learned, Part part) {
        if (part == Part.FINETUNE) {
            return kind.problems(learned, Problems.LEARNED_SEED, Problems.Part.LEARNED);
        }
        if (part == Part.PRETRAIN) {
            return List.of();
        }
        List<Problem> held = kind.problems(2 * HELD_PROBLEMS, Problems.QUESTIONS_SEED, Problems.Part.HELD);
        return part == Part.TEST ? held.subList(0, HELD_PROBLEMS) : held.subList(HELD_PROBLEMS, held.size());
    }

    /** Makes problems of one kind. */
    private interface Kind {
        List<Problem> problems(int count, long seed, Problems.Part part);
    }

    /** SHA-256 of all text of the domains of pretraining, in reading order. */
    public String sha256Hex() {
        return sha256;
    }

    private static Map<String, String> files(Domain domain, Path jar) throws IOException {
        if (!Files.isReadable(jar)) {
            throw new IOException("corpus: no readable file " + jar + "; 'mvn -q generate-resources' fetches it");
        }
        Map<String, String> files = new TreeMap<>();
        try (ZipFile zip = new ZipFile(jar.toFile())) {
            zip.stream().filter(entry -> domain.accepts(entry.getName())).forEach(entry -> {
                String extracted = domain.extract(string(zip, entry));
                if (!extracted.isBlank()) {
                    files.put(entry.getName(), extracted);
                }
            });
        }
        return files;
    }

    private static String string(ZipFile zip, ZipEntry entry) {
        try (InputStream in = zip.getInputStream(entry)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }
}
