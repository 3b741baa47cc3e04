"""Users and streams.

MySQL and MariaDB commit each of these by itself, so that an instance that is killed in between leaves some of them: the
next one goes on there.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MYSQL = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}


def upgrade() -> None:
    """Make the tables where they are not there."""
    long_text = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")
    op.create_table(
        "users",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("openid", sa.String(128)),
        sa.Column("unionid", sa.String(128)),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
        if_not_exists=True,
        **_MYSQL,
    )
    op.create_table(
        "streams",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("user_id", sa.String(64), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("root", sa.String(64), nullable=False),
        sa.Column("is_head", sa.Boolean, nullable=False),
        sa.Column("resumed_from", sa.String(64)),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger, nullable=False),
        sa.Column("deleted_at_ms", sa.BigInteger),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("engine", sa.String(64), nullable=False),
        sa.Column("first_index", sa.Integer, nullable=False),
        sa.Column("sentence_count", sa.Integer, nullable=False),
        sa.Column("audio_ms", sa.BigInteger, nullable=False),
        sa.Column("audio_bytes", sa.BigInteger, nullable=False),
        sa.Column("opening", long_text, nullable=False),
        sa.Column("sentences", long_text, nullable=False),
        sa.Index("streams_of_user", "user_id", "is_head", "started_at_ms", "id"),
        sa.Index("streams_of_root", "user_id", "root"),
        sa.Index("streams_by_end", "ended_at_ms", "id"),
        if_not_exists=True,
        **_MYSQL,
    )
