package io.github.dl4jretention.lm.text;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** A .txt or .jsonl file: where its documents are. Their text is read when it's needed, one at a time. */
public final class TextFile {

    /** A paragraph and those after it are one document until it has so many bytes. */
    private static final int SHORTEST = 2_000;

    private static final int LONGEST = 1 << 28;

    /**
     * A document in a file.
     *
     * @param file   that it's in
     * @param line   of its first byte, from 1
     * @param offset of its first byte
     * @param length number of bytes
     */
    public record Place(TextFile file, int line, long offset, int length) {

        /**
         * {@return the text}
         *
         * @throws IOException if it can't be read, or isn't UTF-8
         */
        public String read() throws IOException {
            ByteBuffer bytes = ByteBuffer.allocate(length);
            try (FileChannel channel = FileChannel.open(file.path, StandardOpenOption.READ)) {
                while (bytes.hasRemaining()) {
                    if (channel.read(bytes, offset + bytes.position()) < 0) {
                        throw refused("the file as it was when it was opened, got a shorter one");
                    }
                }
            }
            return text(bytes.flip());
        }

        private String text(ByteBuffer bytes) throws IOException {
            try {
                return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
            } catch (CharacterCodingException e) {
                throw refused("UTF-8, got other bytes");
            }
        }

        /** {@return an exception that says where the document is} */
        IOException refused(String expected) {
            return new IOException("file " + file.path + ", line " + line + ": expected " + expected);
        }
    }

    private final Path path;
    private final boolean lines;

    /**
     * Reads nothing yet.
     *
     * @param path whose name ends in .txt or .jsonl
     * @throws IOException if it isn't there, or of another kind
     */
    public TextFile(Path path) throws IOException {
        String name = String.valueOf(path.getFileName()).toLowerCase(Locale.ROOT);
        lines = name.endsWith(".jsonl");
        if (!lines && !name.endsWith(".txt")) {
            throw new IOException("file: expected a name that ends in .txt or .jsonl, got " + path);
        }
        if (!Files.isRegularFile(path) || !Files.isReadable(path)) {
            throw new IOException("file: expected a readable file, got " + path);
        }
        this.path = path;
    }

    boolean isLines() {
        return lines;
    }

    /**
     * {@return where the documents are} One for each line of a .jsonl file but blank ones at its end; a .txt file is cut at empty lines into
     * documents of 2,000 bytes or more.
     *
     * @throws IOException if the file has none, or isn't UTF-8
     */
    public List<Place> places() throws IOException {
        List<Place> places = new ArrayList<>();
        long offset = 0;
        long begin = 0;
        int line = 1;
        int first = 1;
        boolean empty = true;
        Place blank = null;
        ByteArrayOutputStream current = new ByteArrayOutputStream();
        try (InputStream in = new BufferedInputStream(Files.newInputStream(path), 1 << 16)) {
            for (int b = in.read(); b >= 0; b = in.read()) {
                offset++;
                current.write(b);
                if (current.size() > LONGEST) {
                    throw new IOException("file " + path + ", line " + first + ": expected documents of at most "
                            + LONGEST + " bytes, got a longer one");
                }
                if (b != '\n') {
                    empty &= b == '\r';
                    continue;
                }
                line++;
                if (lines || empty && offset - begin >= SHORTEST) {
                    blank = add(places, first, begin, current, blank);
                    begin = offset;
                    first = line;
                }
                empty = true;
            }
        }
        add(places, first, begin, current, blank);
        if (places.isEmpty()) {
            throw new IOException("file " + path + ": expected at least one document, got none");
        }
        return places;
    }

    /** {@return the first of the blank lines that a .jsonl file may have at its end only; null for none} */
    private @Nullable Place add(
            List<Place> places, int line, long begin, ByteArrayOutputStream current, @Nullable Place blank)
            throws IOException {
        Place place = new Place(this, line, begin, current.size());
        String text = place.text(ByteBuffer.wrap(current.toByteArray()));
        current.reset();
        if (text.isEmpty() || !lines && text.isBlank()) {
            return blank;
        }
        if (text.isBlank()) {
            return blank == null ? place : blank;
        }
        if (blank != null) {
            throw blank.refused("JSON, got an empty line");
        }
        places.add(place);
        return null;
    }
}
