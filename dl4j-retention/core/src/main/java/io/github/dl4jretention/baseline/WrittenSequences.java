package io.github.dl4jretention.baseline;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.JsonFields;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Objects;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * What a model has written, in a file: JSON with where it comes from. The same model and settings give the same bytes.
 *
 * @param settings  what the sequences follow from
 * @param sha256    of the sequences
 * @param sequences their ids
 */
@JsonFields
record WrittenSequences(
        @JsonProperty("settings") Settings settings,
        @JsonProperty("sha256") String sha256,
        @JsonProperty("sequences") int[][] sequences) {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    @JsonCreator
    WrittenSequences {
        Objects.requireNonNull(settings, "settings");
        Objects.requireNonNull(sha256, "sha256");
        Objects.requireNonNull(sequences, "sequences");
    }

    /**
     * What sequences follow from.
     *
     * @param base        SHA-256 of the model
     * @param temperature of the sampling
     * @param seed        of the sampling
     * @param count       of the sequences
     * @param tokens      of a sequence
     * @param starts      SHA-256 of what they begin with
     */
    @JsonFields
    record Settings(
            @JsonProperty("base") String base,
            @JsonProperty("temperature") double temperature,
            @JsonProperty("seed") long seed,
            @JsonProperty("count") int count,
            @JsonProperty("tokens") int tokens,
            @JsonProperty("starts") String starts) {

        @JsonCreator
        Settings {
            Objects.requireNonNull(base, "base");
            Objects.requireNonNull(starts, "starts");
        }

        /** @throws IllegalArgumentException if those of a file are others; the message names the first that differs */
        void requireSame(Settings found, Path file) {
            requireSame("base", base, found.base, file);
            requireSame("temperature", temperature, found.temperature, file);
            requireSame("seed", seed, found.seed, file);
            requireSame("count", count, found.count, file);
            requireSame("tokens of a sequence", tokens, found.tokens, file);
            requireSame("SHA-256 of the starts", starts, found.starts, file);
        }

        private static void requireSame(String name, Object expected, Object found, Path file) {
            if (!expected.equals(found)) {
                throw new IllegalArgumentException("file: expected sequences of " + name + " " + expected
                        + ", got those of " + found + " in " + file + "; give another file, or delete this one");
            }
        }
    }

    static void write(Path file, Settings settings, int[][] sequences) throws IOException {
        byte[] json = MAPPER.writeValueAsBytes(new WrittenSequences(settings, sha256(sequences), sequences));
        AtomicFile.write(file, out -> out.write(json));
    }

    /**
     * @throws IOException if the file can't be read or is damaged
     * @throws IllegalArgumentException if it was written with other settings
     */
    static int[][] read(Path file, Settings settings) throws IOException {
        WrittenSequences written;
        try {
            written = MAPPER.readValue(Files.readAllBytes(file), WrittenSequences.class);
        } catch (JsonProcessingException e) {
            throw damaged(file, e.getOriginalMessage());
        }
        settings.requireSame(written.settings, file);
        boolean fits = written.sequences.length == settings.count
                && Arrays.stream(written.sequences).allMatch(row -> row.length == settings.tokens);
        if (!fits || !written.sha256.equals(sha256(written.sequences))) {
            throw damaged(file, "sequences whose SHA-256 is another");
        }
        return written.sequences;
    }

    private static IOException damaged(Path file, String found) {
        return new IOException("file: expected sequences that SelfReplay wrote, got " + file + ", which is damaged: "
                + found + "; delete it, and they're sampled again");
    }

    /** Of rows of ids and their lengths. */
    static String sha256(int[][] rows) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (int[] row : rows) {
                ByteBuffer bytes = ByteBuffer.allocate(Integer.BYTES * (row.length + 1));
                bytes.putInt(row.length);
                Arrays.stream(row).forEach(bytes::putInt);
                digest.update(bytes.array());
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }
}
