package io.github.dl4jretention.cache;

import java.io.IOException;
import java.nio.file.Path;

/** A file that is no shard of the cache, or not as it was written. */
final class DamagedShardException extends IOException {

    private static final long serialVersionUID = 1L;

    DamagedShardException(Path file, String what) {
        super(file.getFileName() + ": " + what);
    }
}
