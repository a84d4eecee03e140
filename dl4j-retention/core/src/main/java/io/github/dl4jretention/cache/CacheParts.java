package io.github.dl4jretention.cache;

import io.github.dl4jretention.teacher.Teacher;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.Set;
import java.util.zip.CRC32C;
import java.util.zip.CheckedOutputStream;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/**
 * What the parts of a cache have in common that several processes encode, see {@link CacheAssembly}. It travels. In what
 * order the sequences stand in the parts, and these beside each other, is the order in the cache: so the files are those
 * of one process with the same minibatches.
 *
 * @serial exclude
 */
public final class CacheParts implements Serializable {

    private static final long serialVersionUID = 1L;
    private static final int BUFFER = 1 << 16;

    private final String teacher;
    private final String key;
    private final String name;
    private final String codec;
    private final long seed;
    private final boolean trims;

    CacheParts(CacheSource source, CacheFolder folder, CacheCodec codec, long seed) {
        teacher = source.sha256();
        key = folder.sha256();
        name = folder.path().getFileName().toString();
        this.codec = codec.description();
        this.seed = seed;
        trims = source.trims();
    }

    /** A part that was written, wherever it lies. */
    @FunctionalInterface
    public interface Part {

        /**
         * {@return a stream of its bytes; closed by who asked}
         *
         * @throws IOException if it can't be read
         */
        InputStream open() throws IOException;
    }

    /** {@return the name of the cache's folder} */
    public String name() {
        return name;
    }

    /**
     * {@return a digest of sequences in their order, which asks no teacher: equal digests of equal parts}
     *
     * @param batches minibatches
     */
    public String digest(Iterator<? extends MultiDataSet> batches) {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
        while (batches.hasNext()) {
            MultiDataSet batch = batches.next();
            for (SequenceId id : BatchSequences.of(batch.getFeatures(), batch.getFeaturesMaskArrays(), trims)
                    .ids()) {
                digest.update(ByteBuffer.allocate(SequenceId.BYTES)
                        .putLong(id.high())
                        .putLong(id.low())
                        .flip());
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    /**
     * Writes the sequences of minibatches that are new.
     *
     * @param batches minibatches
     * @param network of the identity of the cache's teacher
     * @param known   what {@link CacheAssembly#known()} gave: sequences to leave out
     * @param stream  not closed
     * @return how many sequences were written
     * @throws IOException if they can't be written
     * @throws IllegalArgumentException if the teacher is another, or has no finite numbers for a token that counts
     */
    public long encode(Iterator<? extends MultiDataSet> batches, Teacher network, long[] known, OutputStream stream)
            throws IOException {
        if (!network.sha256().equals(teacher)) {
            throw new IllegalArgumentException(
                    "teacher: expected the cache's, " + teacher + " (SHA-256), got " + network.sha256());
        }
        Set<SequenceId> there = new HashSet<>();
        for (int i = 0; i < known.length; i += 2) {
            there.add(new SequenceId(known[i], known[i + 1]));
        }
        CRC32C checksum = new CRC32C();
        DataOutputStream out = new DataOutputStream(new CheckedOutputStream(stream, checksum));
        out.writeInt(CacheKey.FORMAT);
        out.writeUTF(key);
        BatchEntries entries = new BatchEntries(new BatchEncoder(CacheCodec.of(codec), seed), trims, () -> network);
        byte[] layout = null;
        long count = 0;
        while (batches.hasNext()) {
            MultiDataSet batch = batches.next();
            for (BatchEncoder.Entry entry : entries.of(batch, entries.sequences(batch), there::add)) {
                out.writeBoolean(true);
                if (layout == null && entries.layout() != null) {
                    layout = entries.layout().toBytes();
                    out.writeInt(layout.length);
                    out.write(layout);
                }
                out.writeLong(entry.id().high());
                out.writeLong(entry.id().low());
                out.writeLong(entry.tokens());
                byte[] bytes = new byte[entry.bytes().remaining()];
                entry.bytes().get(bytes);
                out.writeInt(bytes.length);
                out.write(bytes);
                count++;
            }
        }
        out.writeBoolean(false);
        out.flush();
        new DataOutputStream(stream).writeLong(checksum.getValue());
        return count;
    }

    /**
     * {@return whether a part is as it was written; if it isn't, it has to be encoded again}
     *
     * @param part to read, all of it
     * @throws IOException if it can't be read
     */
    public boolean isWhole(Part part) throws IOException {
        CRC32C checksum = new CRC32C();
        byte[] buffer = new byte[BUFFER];
        int count = 0;
        try (InputStream in = part.open()) {
            int read = in.readNBytes(buffer, 0, BUFFER);
            while (read > 0) {
                count += read;
                // The last bytes may be what the others are compared with.
                int content = Math.max(0, count - Long.BYTES);
                checksum.update(buffer, 0, content);
                count -= content;
                System.arraycopy(buffer, content, buffer, 0, count);
                read = in.readNBytes(buffer, count, BUFFER - count);
            }
        }
        return count == Long.BYTES && ByteBuffer.wrap(buffer).getLong() == checksum.getValue();
    }

    /**
     * Hands a part's sequences to a build, if it's whole: shards of a damaged one would have the right checksums.
     *
     * @param which part it is, for messages
     */
    void read(Part part, String which, CacheBuild build) throws IOException {
        if (!isWhole(part)) {
            throw new IOException(
                    which + ": expected it as it was written, but its checksum is wrong; encode it again");
        }
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(part.open()))) {
            if (in.readInt() != CacheKey.FORMAT || !in.readUTF().equals(key)) {
                throw new IOException(which + ": expected one of the cache " + name + ", got one of another");
            }
            CacheLayout layout = null;
            while (in.readBoolean()) {
                layout = layout == null ? layout(in) : layout;
                SequenceId id = new SequenceId(in.readLong(), in.readLong());
                long tokens = in.readLong();
                byte[] bytes = new byte[in.readInt()];
                in.readFully(bytes);
                build.add(layout, new BatchEncoder.Entry(id, tokens, ByteBuffer.wrap(bytes)));
            }
        }
    }

    private static CacheLayout layout(DataInputStream in) throws IOException {
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return CacheLayout.of(bytes);
    }
}
